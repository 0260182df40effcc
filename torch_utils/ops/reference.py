"""The operators as their definitions have them: zeros inserted, padded, convolved, nothing fused, NCHW.

Slow, and short enough to be checked by eye. `--ops=reference` selects these; benchmarks measure the others by them.
Arguments and results are those of the functions of the same names in this package.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def upfirdn2d(
    x: Tensor,
    f: Tensor,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    flip_filter: bool,
    gain: float,
) -> Tensor:
    """`up` and `down` are (x, y), `padding` is (x0, x1, y0, y1), `f` has one dimension (separable) or two."""
    x = F.pad(_insert_zeros(x.contiguous(), up), list(padding))
    f = (f.detach() * gain ** (f.ndim / 2)).to(x.dtype)
    f = f if flip_filter else f.flip(tuple(range(f.ndim)))
    for taps in [f] if f.ndim == 2 else [f[None, :], f[:, None]]:
        x = F.conv2d(x, taps.repeat(x.shape[1], 1, 1, 1), groups=x.shape[1])
    return x[:, :, :: down[1], :: down[0]].contiguous()


def _insert_zeros(x: Tensor, up: Sequence[int]) -> Tensor:
    """Sample (i, j) moves to (i * up_y, j * up_x)."""
    count, channels, height, width = x.shape
    x = x.reshape(count, channels, height, 1, width, 1)  # [N, C, H, 1, W, 1]
    x = F.pad(x, [0, up[0] - 1, 0, 0, 0, up[1] - 1])  # [N, C, H, up_y, W, up_x]
    return x.reshape(count, channels, height * up[1], width * up[0])


def bias_act(
    x: Tensor, b: Tensor | None, dim: int, function: Callable[[Tensor], Tensor], gain: float, clamp: float | None
) -> Tensor:
    """`function` is the activation, with its slope filled in."""
    if b is not None:
        x = x + b.to(x.dtype).reshape([-1 if axis == dim % x.ndim else 1 for axis in range(x.ndim)])
    x = function(x) * gain
    return x if clamp is None else x.clamp(-clamp, clamp)


def modulated_weights(weight: Tensor, styles: Tensor, demodulate: bool) -> Tensor:
    """Weights [N, Co, Ci, k, k] of each sample (Karras et al. 2020, equations 1 and 3)."""
    w = weight[None] * styles[:, None, :, None, None]
    return w * torch.rsqrt(w.square().sum((2, 3, 4), keepdim=True) + 1e-8) if demodulate else w


def modulated_conv2d(
    convolve: Callable[..., Tensor], x: Tensor, weight: Tensor, styles: Tensor, demodulate: bool, **options
) -> Tensor:
    """Each sample is a group of one convolution; `convolve` is conv2d_resample."""
    count, co = len(x), len(weight)
    w = modulated_weights(weight, styles, demodulate).flatten(0, 1)  # [N Co, Ci, k, k]
    y = convolve(x.reshape(1, -1, *x.shape[2:]), w.to(x.dtype), groups=count, **options)  # [1, N Co, h, w]
    return y.reshape(count, co, *y.shape[2:])
