"""3x3 convolutions with fewer multiplications, where nothing is differentiated: minimal filtering on a CPU.

A plain one takes a quarter of them, by F(4x4, 3x3). An enlarging one takes 81 of 144: it is a transposed convolution,
whose even rows and columns have two taps and its odd ones one, and F(4, 2) serves the former; the FIR filter follows.

The operators are native (torch_utils/native/csrc/winograd.h, winograd_up.h). Here is what becomes of the filters: they
are spread out to the points, which pays where that is done once and kept.
"""

import math

import torch
from torch import Tensor

from torch_utils.native.operators import native
from torch_utils.ops import inference_cache
from torch_utils.ops.bias_act import ACTIVATIONS
from torch_utils.ops.selection import takes_native, winograd_wins
from torch_utils.ops.upfirdn2d import Pair

CHANNELS = 16  # they are multiples of this

UP_TAPS = (4, 4)  # of the FIR filter


def takes(
    x: Tensor, weight: Tensor, up: int = 1, down: int = 1, padding: Pair = 0, f: Tensor | None = None
) -> bool:
    """Whether `convolve` can do this modulated convolution here and now, and is the faster way."""
    if not inference_cache.enabled() or x.device.type != "cpu" or x.dtype != torch.float32:
        return False
    if up not in (1, 2) or down != 1 or padding != 1 or weight.shape[2:] != (3, 3):
        return False
    if up == 2 and (f is None or f.shape != UP_TAPS):
        return False
    return x.shape[1] % CHANNELS == weight.shape[0] % CHANNELS == 0 and takes_native(x, winograd_wins(x))


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
    return native.winograd_up(x, filters, f.flip((0, 1)) * up**2, *how)


@torch.no_grad()
def make_filters(weight: Tensor, flip_weight: bool, up: int = 1, swapped: bool = False) -> Tensor:
    """Spread weight [Co, Ci, 3, 3] out to [36, Co, Ci], in the order of the native library; swapped: to [36, Ci, Co]."""
    is_turned = flip_weight == (up == 2)  # a transposed convolution meets its taps the other way round
    return native.winograd_filters(weight, is_turned, swapped, up == 2)
