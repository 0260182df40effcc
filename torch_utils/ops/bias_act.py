"""Bias, activation, gain and clamp in one call: y = clip(gain * act(x + b), -clamp, clamp).

The version here is the specification; `bias_act` hands over to the native or the plain one where those are chosen.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from torch_utils.devices import device_kind
from torch_utils.native.operators import native
from torch_utils.ops import reference
from torch_utils.ops.selection import bias_act_wins, is_reference, takes_native

CUDA_GRID = 65535  # the native version takes no more samples or channels there


class Activation(NamedTuple):
    """An activation with its default slope and gain; `function` takes (x, alpha).

    `homogeneous`: act(k x) = k act(x) for k > 0, so that a gain may be applied before the activation instead.
    """

    function: Callable[[Tensor, float], Tensor]
    alpha: float = 0.0
    gain: float = 1.0
    homogeneous: bool = False


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda x, alpha: x, homogeneous=True),
    "relu": Activation(lambda x, alpha: F.relu(x), gain=2**0.5, homogeneous=True),
    "lrelu": Activation(F.leaky_relu, alpha=0.2, gain=2**0.5, homogeneous=True),
    "tanh": Activation(lambda x, alpha: torch.tanh(x)),
    "sigmoid": Activation(lambda x, alpha: torch.sigmoid(x)),
    "elu": Activation(lambda x, alpha: F.elu(x)),
    "selu": Activation(lambda x, alpha: F.selu(x)),
    "softplus": Activation(lambda x, alpha: F.softplus(x, threshold=50)),
    "swish": Activation(lambda x, alpha: x * torch.sigmoid(x), gain=2**0.5),
}


def bias_act(
    x: Tensor,
    b: Tensor | None = None,
    dim: int = 1,
    act: str = "linear",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
    scale: Tensor | None = None,
    noise: Tensor | None = None,
    noise_strength: Tensor | None = None,
) -> Tensor:
    """Add a bias along `dim`, apply an activation, scale, clamp.

    Args:
        x: tensor of any shape.
        b: bias [x.shape[dim]] or None.
        dim: dimension of `x` that the bias runs along.
        act: a name in ACTIVATIONS.
        alpha: slope of lrelu for negative values (other activations ignore it); None: 0.2.
        gain: factor after the activation; None: the activation's own. It replaces that one.
        clamp: the scaled result is limited to +-clamp, and passes no gradient there; None: no limit.
        scale: [N, C], factor on each channel of images [N, C, H, W] before all else, or None.
        noise: added to the images before the activation, broadcastable to them, or None.
        noise_strength: [], factor on the noise, or None.

    Returns:
        Tensor of the shape and type of `x`.
    """
    kind = ACTIVATIONS[act]
    alpha = kind.alpha if alpha is None else alpha
    gain = kind.gain if gain is None else gain
    if is_reference():
        x = scale_and_add(x, scale, _times(noise, noise_strength))
        return reference.bias_act(x, b, dim, lambda u: kind.function(u, alpha), gain, clamp)
    noise = noise if noise is None else noise[(None,) * (x.ndim - noise.ndim)]
    extras = sum(given is not None for given in (b, scale, noise, clamp))
    if takes_native(x, bias_act_wins(x, extras)) and _native_takes(x, dim, scale, noise):
        if extras == 0 and act == "linear" and gain == 1:
            return x
        limit = math.inf if clamp is None else clamp
        return native.bias_act(x, scale, noise, noise_strength, b, dim % x.ndim, act, alpha, gain, limit)
    x = scale_and_add(x, scale, _times(noise, noise_strength))
    if b is not None:
        x = x + b.to(x.dtype).reshape([-1 if axis == dim % x.ndim else 1 for axis in range(x.ndim)])
    if act == "lrelu" and alpha > 0 and gain > 0:
        x = _ScaledLeakyReLU.apply(x, alpha, gain)
    else:
        x = kind.function(x, alpha)
        x = x * gain if gain != 1 else x
    return x if clamp is None else x.clamp(-clamp, clamp)


def _times(noise: Tensor | None, strength: Tensor | None) -> Tensor | None:
    return noise if noise is None or strength is None else noise * strength


def scale_and_add(x: Tensor, scale: Tensor | None, noise: Tensor | None) -> Tensor:
    """x * scale[:, :, None, None] + noise, in one pass where both are there."""
    scale = None if scale is None else scale.to(x.dtype)[:, :, None, None]
    noise = None if noise is None else noise.to(x.dtype)
    if scale is None:
        return x if noise is None else x + noise
    return x * scale if noise is None else torch.addcmul(noise, x, scale)


def _native_takes(x: Tensor, dim: int, scale: Tensor | None, noise: Tensor | None) -> bool:
    """Whether the native version knows these shapes."""
    if device_kind(x) == "cuda" and max(x.shape[:-1], default=0) > CUDA_GRID:
        return False
    if scale is None and noise is None:
        return dim % x.ndim == 1 or x.is_contiguous()
    if noise is not None and noise.requires_grad:
        return False
    if x.ndim != 4 or dim != 1 or (scale is not None and scale.shape != x.shape[:2]):
        return False
    return noise is None or (noise.shape[1:] == (1, *x.shape[2:]) and len(noise) in (1, len(x)))


class _ScaledLeakyReLU(torch.autograd.Function):
    """gain * leaky_relu(x), remembering only its own result (which the next layer keeps anyway)."""

    @staticmethod
    def forward(ctx, x: Tensor, alpha: float, gain: float) -> Tensor:
        y = F.leaky_relu(x, alpha)
        y = y.mul_(gain) if gain != 1 else y
        ctx.save_for_backward(y)
        ctx.slopes = alpha, gain
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        (y,) = ctx.saved_tensors
        return _ScaledLeakyReLUGrad.apply(grad, y.detach(), *ctx.slopes), None, None


class _ScaledLeakyReLUGrad(torch.autograd.Function):
    """The same slopes applied to a gradient: linear in it, hence its own derivative."""

    @staticmethod
    def forward(ctx, grad: Tensor, y: Tensor, alpha: float, gain: float) -> Tensor:
        ctx.save_for_backward(y)
        ctx.slopes = alpha, gain
        grad = torch.ops.aten.leaky_relu_backward(grad, y, alpha, True)
        return grad.mul_(gain) if gain != 1 else grad

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (y,) = ctx.saved_tensors
        return _ScaledLeakyReLUGrad.apply(grad, y, *ctx.slopes), None, None, None
