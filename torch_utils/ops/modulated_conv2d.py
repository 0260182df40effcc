"""Convolution whose input channels are scaled per sample by a style (StyleGAN2, section 2)."""

import torch
from torch import Tensor

from torch_utils.ops.conv2d_resample import conv2d_resample
from torch_utils.ops.upfirdn2d import Pair


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
) -> Tensor:
    """Convolve sample n with weight[o, i] * styles[n, i], brought to unit norm per output channel.

    Scaling the input by the styles and the output by the demodulation coefficients is the same as scaling the
    weights, and lets the whole batch share one convolution. A 1x1 convolution is a matrix product per sample, where
    scaling the weights is cheaper.

    Args:
        x: [N, Ci, H, W]; weight: [Co, Ci, k, k]; styles: [N, Ci].
        noise: added to the result (after demodulation), broadcastable to it, or None.
        up, down, padding, resample_filter, flip_weight: as in conv2d_resample.
        gain: factor on the convolution (not on the noise).
        demodulate: divide by sqrt(sum over (i, k, l) of the scaled weights squared + 1e-8).

    Returns:
        [N, Co, H * up / down, W * up / down] for padding k // 2. No bias, no activation.
    """
    if x.dtype == torch.float16 and demodulate:
        weight, styles = _prescale(weight, styles)
    coefficients = _demodulation(weight, styles) * gain if demodulate else None
    if coefficients is None and gain != 1:
        styles = styles * gain
    if weight.shape[2:] == (1, 1) and up == down == 1 and padding == 0:
        y = _pointwise(x, weight, styles, coefficients)
    else:
        y = x * styles.to(x.dtype)[:, :, None, None]
        y = conv2d_resample(y, weight.to(x.dtype), resample_filter, up, down, padding, flip_weight=flip_weight)
        if coefficients is not None:
            return _scale_and_add(y, coefficients.to(y.dtype)[:, :, None, None], noise)
    return y if noise is None else y + noise.to(y.dtype)


def _scale_and_add(y: Tensor, scale: Tensor, noise: Tensor | None) -> Tensor:
    """y * scale + noise in one pass."""
    return y * scale if noise is None else torch.addcmul(noise.to(y.dtype), y, scale)


def _demodulation(weight: Tensor, styles: Tensor) -> Tensor:
    """[N, Co]: 1 / norm of each sample's scaled output filter."""
    energy = weight.square().sum((2, 3))
    return torch.rsqrt(styles.square() @ energy.T + 1e-8)


def _prescale(weight: Tensor, styles: Tensor) -> tuple[Tensor, Tensor]:
    """Keep float16 products in range; demodulation cancels both factors (up to its 1e-8)."""
    fan_in = weight[0].numel()
    largest = weight.abs().amax((1, 2, 3), keepdim=True)
    return weight / (largest * fan_in**0.5), styles / styles.abs().amax(1, keepdim=True)


def _pointwise(x: Tensor, weight: Tensor, styles: Tensor, coefficients: Tensor | None) -> Tensor:
    scaled = weight[None, :, :, 0, 0] * styles[:, None, :]
    if coefficients is not None:
        scaled = scaled * coefficients[:, :, None]
    scaled = scaled.to(x.dtype)
    if x.is_contiguous(memory_format=torch.channels_last):
        y = x.permute(0, 2, 3, 1).flatten(1, 2) @ scaled.transpose(1, 2)
        return y.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
    return (scaled @ x.flatten(2)).unflatten(2, x.shape[2:])
