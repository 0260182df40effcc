"""Convolution whose input channels are scaled per sample by a style (StyleGAN2, section 2)."""

from typing import TypedDict

import torch
from torch import Tensor

from torch_utils.constants import constant
from torch_utils.ops import inference_cache, reference, winograd
from torch_utils.ops.bias_act import bias_act
from torch_utils.ops.conv2d_resample import conv2d_resample
from torch_utils.ops.selection import folding_wins, is_reference
from torch_utils.ops.upfirdn2d import Pair


class _Then(TypedDict):
    """What bias_act does to the result of the convolution."""

    act: str
    gain: float
    clamp: float | None
    noise: Tensor | None
    noise_strength: Tensor | None


class _Resampling(TypedDict):
    f: Tensor | None
    up: int
    down: int
    padding: Pair
    flip_weight: bool


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    noise: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: Pair = 0,
    resample_filter: Tensor | None = None,
    demodulate: bool = True,
    flip_weight: bool = True,
    gain: float = 1.0,
    bias: Tensor | None = None,
    act: str = "linear",
    act_gain: float = 1.0,
    clamp: float | None = None,
    noise_strength: Tensor | None = None,
) -> Tensor:
    """Convolve sample n with weight[o, i] * styles[n, i], brought to unit norm per output channel.

    Scaling the input by the styles and the output by the demodulation coefficients is the same as scaling the
    weights, and lets the whole batch share one convolution; the latter happens in the pass over memory that adds
    noise and bias and activates. A 1x1 convolution is a matrix product per sample, where scaling the weights is
    cheaper; on a GPU it is, too, where all samples have the same style, which shows in a stride of 0 (Tensor.expand).
    In inference mode on a CPU, winograd takes the place of most 3x3 convolutions, enlarging ones too.

    Args:
        x: [N, Ci, H, W]; weight: [Co, Ci, k, k]; styles: [N, Ci].
        noise: added to the result (after demodulation), broadcastable to it, or None.
        up, down, padding, resample_filter, flip_weight: as in conv2d_resample.
        gain: factor on the convolution (not on the noise).
        demodulate: divide by sqrt(sum over (i, k, l) of the scaled weights squared + 1e-8).
        noise_strength: [], factor on the noise, or None.
        bias, act, act_gain, clamp: what bias_act then does to the result; by default nothing.

    Returns:
        [N, Co, H * up / down, W * up / down] for padding k // 2.
    """
    after = _Then(act=act, gain=act_gain, clamp=clamp, noise=noise, noise_strength=noise_strength)
    resampling = _Resampling(f=resample_filter, up=up, down=down, padding=padding, flip_weight=flip_weight)
    if is_reference():
        y = reference.modulated_conv2d(conv2d_resample, x, weight, styles, demodulate, **resampling)
        return bias_act(y * gain, bias, **after)
    is_shared = len(x) > 1 and styles.stride(0) == 0 and folding_wins(x)
    styles = styles[:1] if is_shared else styles
    if x.dtype == torch.float16 and demodulate:
        weight, styles = _prescale(weight, styles)
    styles, coefficients = _scales(weight, styles, demodulate, gain)
    if weight.shape[2:] == (1, 1) and up == down == 1 and padding == 0:
        return bias_act(pointwise(x, weight, styles, coefficients), bias, **after)
    if winograd.takes(x, weight, up, down, padding, resample_filter):
        scales = styles.expand(len(x), -1), None if coefficients is None else coefficients.expand(len(x), -1)
        noise = noise if noise is None or noise_strength is None else noise * noise_strength
        f = resample_filter
        return winograd.convolve(x, weight, flip_weight, *scales, noise, bias, act, act_gain, clamp, up, f)
    if is_shared:
        y = conv2d_resample(x, _modulated(weight, styles, coefficients).to(x.dtype), **resampling)
        return bias_act(y, bias, **after)
    y = conv2d_resample(bias_act(x, scale=styles), weight.to(x.dtype), **resampling)
    return bias_act(y, bias, scale=coefficients, **after)


def _scales(weight: Tensor, styles: Tensor, demodulate: bool, gain: float) -> tuple[Tensor, Tensor | None]:
    """Factors on the input [N, Ci] and, with demodulation, on the output [N, Co]; one of them has the gain in it."""
    coefficients = _demodulation(weight, styles) if demodulate else None
    if gain == 1:
        return styles, coefficients
    return (styles * gain, None) if coefficients is None else (styles, coefficients * gain)


def _demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """[N, Co]: 1 / norm of each sample's scaled output filter."""
    if inference_cache.enabled():
        energy = inference_cache.cached(weight, "energy", lambda: filter_energy(weight))
        return torch.rsqrt(styles.square() @ energy.T + 1e-8)
    return _Demodulation.apply(weight, styles)


class _Demodulation(torch.autograd.Function):
    """rsqrt(styles^2 energy^T + 1e-8), differentiated by hand: a third of the operations of autograd's own."""

    @staticmethod
    def forward(ctx, weight: Tensor, styles: Tensor) -> Tensor:
        squares, energy = styles.square(), weight.square().sum((2, 3))
        coefficients = torch.addmm(constant(1e-8, squares), squares, energy.T).rsqrt_()
        ctx.save_for_backward(weight, styles, coefficients)
        ctx.parts = squares, energy
        return coefficients

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        weight, styles, coefficients = ctx.saved_tensors
        squares, energy = ctx.parts
        if torch.is_grad_enabled():  # to be differentiated again: by what autograd can follow
            squares, energy = styles.square(), filter_energy(weight)
            coefficients = torch.rsqrt(squares @ energy.T + 1e-8)
        through, zero = grad * coefficients.pow(3), constant(0, grad)
        # alpha: -1/2 for what is under the root, times 2 for squares.
        for_weight = for_styles = None
        if ctx.needs_input_grad[0]:
            for_weight = weight * torch.addmm(zero, through.T, squares, beta=0, alpha=-1)[:, :, None, None]
        if ctx.needs_input_grad[1]:
            for_styles = styles * torch.addmm(zero, through, energy, beta=0, alpha=-1)
        return for_weight, for_styles


def _modulated(weight: Tensor, styles: Tensor, coefficients: Tensor | None) -> Tensor:
    """The weights of one style [1, Ci]."""
    weight = weight * styles[:, :, None, None]
    return weight if coefficients is None else weight * coefficients[0][:, None, None, None]


def filter_energy(weight: Tensor) -> Tensor:
    """Squares summed over each filter's taps: weight [Co, Ci, k, k] -> [Co, Ci]."""
    return _Energy.apply(weight)


class _Energy(torch.autograd.Function):
    """weight.square().sum((2, 3)), with one pass over the weights for the gradient instead of four."""

    @staticmethod
    def forward(ctx, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return weight.square().sum((2, 3))

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (weight,) = ctx.saved_tensors
        return weight * (2 * grad)[:, :, None, None]


def _prescale(weight: Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
    """Keep float16 products in range. Demodulation cancels both factors (up to its 1e-8): they count as constants."""
    largest = torch.linalg.vector_norm(styles.detach(), torch.inf, 1, keepdim=True)
    return inference_cache.cached(weight, "bounded", lambda: bounded_filters(weight)), styles / largest


def bounded_filters(weight: Tensor) -> Tensor:
    """weight [Co, Ci, k, k], each output filter scaled so that its largest tap is 1 / sqrt(fan-in).

    The factor is not differentiated: for filters that are brought to unit norm afterwards it makes no difference.
    """
    largest = torch.linalg.vector_norm(weight.detach(), torch.inf, (1, 2, 3), keepdim=True)
    return weight / (largest * weight[0].numel() ** 0.5)


def pointwise(x: Tensor, weight: Tensor, styles: Tensor, coefficients: Tensor | None = None) -> Tensor:
    """A 1x1 convolution with weights scaled by styles [N or 1, Ci], and by coefficients [N or 1, Co]."""
    scaled = weight.flatten(1) * styles[:, None, :]  # [N or 1, Co, Ci]
    if coefficients is not None:
        scaled = scaled * coefficients[:, :, None]
    scaled = scaled.to(x.dtype)
    if x.is_contiguous(memory_format=torch.channels_last):
        y = x.permute(0, 2, 3, 1).flatten(1, 2) @ scaled.transpose(1, 2)  # [N, HW, Co]
        return y.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
    return (scaled @ x.flatten(2)).unflatten(2, x.shape[2:])
