"""3x3 convolutions with a quarter of the multiplications, where nothing is differentiated: F(4x4, 3x3) on a CPU.

The operator itself is native (torch_utils/native/csrc/winograd.h). Here is what becomes of the filters: they are spread
out to the 36 points, which pays where that is done once and kept. An enlarging convolution gains nothing: together with
its FIR filter it is one of 6x6 taps, with four times the products, and by itself it skips the zeros anyway.
"""

import math

import torch
from torch import Tensor

from torch_utils.native.operators import native
from torch_utils.ops.bias_act import ACTIVATIONS
from torch_utils.ops.kept import keeps, kept
from torch_utils.ops.selection import takes_native, winograd_wins

LANES = 16  # channels are multiples of this

# How a row of three taps is spread out for F(4, 3) (Lavin and Gray 2016, section 4.2).
SPREAD = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


def takes(x: Tensor, weight: Tensor, up: int, down: int, padding: object) -> bool:
    """Whether `convolve` can do this modulated convolution here and now, and is the faster way."""
    if not keeps() or x.device.type != "cpu" or x.dtype != torch.float32:
        return False
    if up != 1 or down != 1 or padding != 1 or weight.shape[2:] != (3, 3):
        return False
    return x.shape[1] % LANES == weight.shape[0] % LANES == 0 and takes_native(x, winograd_wins(x, len(weight)))


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
) -> Tensor:
    """clip(gain * act(out_scale * conv(x * in_scale) + noise + bias), -clamp, clamp), padded to keep the size.

    x [N, Ci, H, W], weight [Co, Ci, 3, 3], in_scale [N, Ci], out_scale [N, Co], noise [H, W] or [N, 1, H, W], bias
    [Co] -> [N, Co, H, W] in channels_last, all float32. flip_weight as in conv2d_resample.
    """
    filters = kept(weight, ("winograd", flip_weight), lambda: make_filters(weight, flip_weight))
    limit = math.inf if clamp is None else clamp
    return native.winograd(x, filters, in_scale, out_scale, noise, bias, act, ACTIVATIONS[act].alpha, gain, limit)


@torch.no_grad()
def make_filters(weight: Tensor, flip_weight: bool) -> Tensor:
    """Spread weight [Co, Ci, 3, 3] out to [36, Co / 16, Ci, 16]."""
    weight = weight if flip_weight else weight.flip((2, 3))
    spread = torch.tensor(SPREAD, dtype=torch.float64)
    points = (spread @ weight.double() @ spread.T).float()
    return points.flatten(2).unflatten(0, (-1, LANES)).permute(3, 0, 2, 1).contiguous()
