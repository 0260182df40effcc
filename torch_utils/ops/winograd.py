"""3x3 convolutions with fewer multiplications, where nothing is differentiated: minimal filtering on a CPU.

A plain one takes a quarter of them, by F(4x4, 3x3). An enlarging one takes 81 of 144: it is a transposed convolution,
whose even rows and columns have two taps and its odd ones one, and F(4, 2) serves the former; the FIR filter follows.

The operators are native (torch_utils/native/csrc/winograd.h, winograd_up.h). Here is what becomes of the filters: they
are spread out to the points, which pays where that is done once and kept.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from torch_utils.native.operators import native
from torch_utils.ops import fastest, inference_cache
from torch_utils.ops.bias_act import ACTIVATIONS
from torch_utils.ops.selection import takes_winograd
from torch_utils.ops.upfirdn2d import Pair, upfirdn2d

CHANNELS = 16  # they are multiples of this
UP_TAPS = (4, 4)  # of the FIR filter
SMALLEST = 4**2  # pixels of an image that is worth it
PLAIN = None, None, None, None, "linear", 0.0, 1.0, math.inf  # nothing but the convolution


def takes(x: Tensor, weight: Tensor, up: int = 1, down: int = 1, padding: Pair = 0, f: Tensor | None = None) -> bool:
    """Whether `convolve` can do this modulated convolution here and now, and is the faster way."""
    if not inference_cache.enabled() or x.device.type != "cpu" or x.dtype != torch.float32:
        return False
    if up not in (1, 2) or down != 1 or padding != 1 or weight.shape[2:] != (3, 3):
        return False
    if up == 2 and (f is None or f.shape != UP_TAPS):
        return False
    return x.shape[1] % CHANNELS == weight.shape[0] % CHANNELS == 0 and takes_winograd(x, lambda: wins(x, up))


def wins(x: Tensor, up: int) -> bool:
    """Whether minimal filtering is the faster way here, filters being kept."""
    if x.shape[2] * x.shape[3] < SMALLEST:
        return False
    return fastest.wins("enlarging", _enlarging) if up == 2 else fastest.wins("plain", _plain)


def convolve(
    x: Tensor,
    weight: Tensor,
    flip_weight: bool = True,
    in_scale: Tensor | None = None,
    out_scale: Tensor | None = None,
    noise: Tensor | None = None,
    bias: Tensor | None = None,
    act: str = "linear",
    gain: float = 1.0,
    clamp: float | None = None,
    up: int = 1,
    f: Tensor | None = None,
) -> Tensor:
    """clip(gain * act(out_scale * conv(x * in_scale) + noise + bias), -clamp, clamp), padded to keep the size.

    x [N, Ci, H, W], weight [Co, Ci, 3, 3], in_scale [N, Ci], out_scale [N, Co], noise [H, W] or [N, 1, H, W], bias
    [Co] -> [N, Co, H, W] in channels_last, all float32. flip_weight as in conv2d_resample. For up = 2 conv enlarges,
    with the FIR filter f [4, 4] from setup_filter; noise and result then have twice the height and width.
    """
    limit = math.inf if clamp is None else clamp
    how = in_scale, out_scale, noise, bias, act, ACTIVATIONS[act].alpha, gain, limit
    if up == 1:
        filters = inference_cache.cached(weight, ("winograd", flip_weight), lambda: make_filters(weight, flip_weight))
        return native.winograd(x, filters, *how)
    key = "winograd_up", flip_weight
    filters = inference_cache.cached(weight, key, lambda: make_filters(weight, flip_weight, up))
    assert f is not None, "enlarging takes a filter"
    return native.winograd_up(x, filters, f.flip((0, 1)) * up**2, *how)


@torch.no_grad()
def make_filters(weight: Tensor, flip_weight: bool, up: int = 1) -> Tensor:
    """Spread weight [Co, Ci, 3, 3] out to [36, Co, Ci], in the order that the native library reads."""
    is_turned = flip_weight == (up == 2)  # a transposed convolution meets its taps the other way round
    return native.winograd_filters(weight, is_turned, False, up == 2)


# ---- what is compared to find out which way is faster


def example(count: int) -> tuple[Tensor, Tensor]:
    """Images [count, 64, 32, 32] in channels_last, and a weight [64, 64, 3, 3]."""
    images = torch.ones([count, 64, 32, 32], dtype=torch.float32)
    return images.contiguous(memory_format=torch.channels_last), torch.ones([64, 64, 3, 3], dtype=torch.float32)


def _plain() -> tuple[Callable[[], object], Callable[[], object]]:
    x, weight = example(1)
    filters = make_filters(weight, flip_weight=True)
    return lambda: native.winograd(x, filters, *PLAIN), lambda: F.conv2d(x, weight, padding=1)


def _enlarging() -> tuple[Callable[[], object], Callable[[], object]]:
    x, weight = example(1)
    filters, taps = make_filters(weight, flip_weight=False, up=2), torch.ones(UP_TAPS, dtype=torch.float32)
    return (
        lambda: native.winograd_up(x, filters, taps, *PLAIN),
        lambda: upfirdn2d(F.conv_transpose2d(x, weight, stride=2), taps, padding=1),
    )
