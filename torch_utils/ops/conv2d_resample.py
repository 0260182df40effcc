"""Convolution with built-in up- or downsampling.

Defined as: pad (once, on the upsampled grid), upsample with the FIR filter, convolve without padding, filter and
decimate. FIR filter and convolution are both linear and shift-invariant, so they may change places; each case
below puts the expensive one where it has the fewest pixels to visit.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from torch_utils.ops import inference_cache, winograd_autograd
from torch_utils.ops.selection import is_reference
from torch_utils.ops.upfirdn2d import Pair, down_padding, parse_padding, up_padding, upfirdn2d


def conv2d_resample(
    x: Tensor,
    w: Tensor,
    f: Tensor | None = None,
    up: int = 1,
    down: int = 1,
    padding: Pair = 0,
    groups: int = 1,
    flip_weight: bool = True,
    flip_filter: bool = False,
    bias: Tensor | None = None,
) -> Tensor:
    """Convolve `x` with `w`, enlarging by `up` before and reducing by `down` after.

    Args:
        x: images [N, Ci, H, W].
        w: weights [Co, Ci / groups, k, k].
        f: FIR filter from setup_filter, or None.
        up, down: resampling factors.
        padding: on the upsampled image: a number, [x, y] or [x0, x1, y0, y1].
        groups: number of channel groups.
        flip_weight: True correlates with `w` (what deep learning calls convolution), False turns it by 180 degrees.
        flip_filter: the same for `f`, where False convolves.
        bias: [Co], added to the result; free where the convolution comes last.

    Returns:
        [N, Co, H', W']; H' = H * up / down for "same" padding k // 2.
    """
    pads = list(parse_padding(padding))
    if not is_reference() and {up, down} == {1, 2} and winograd_autograd.takes_resampling(x, w, f, up, pads, groups):
        assert f is not None  # takes_resampling has looked
        return _resample_by_two(x, w, f, up, flip_weight, flip_filter, bias)
    if up > 1:
        pads = [a + b for a, b in zip(pads, up_padding(f, (up, up)), strict=True)]
    if down > 1:
        pads = [a + b for a, b in zip(pads, down_padding(f, (down, down)), strict=True)]
    if is_reference():
        return _plain(x, w, f, up, down, pads, groups, flip_weight, flip_filter, bias)
    pointwise = w.shape[2:] == (1, 1)
    if up == 1 and down == 1:
        return _convolve(x, w, pads, 1, groups, flip_weight, bias)
    if up == 1 and pointwise:
        x = upfirdn2d(x, f, down=down, padding=pads, flip_filter=flip_filter)
        return _convolve(x, w, [0] * 4, 1, groups, flip_weight, bias)
    if up == 1:
        x = upfirdn2d(x, f, padding=pads, flip_filter=flip_filter)
        return _convolve(x, w, [0] * 4, down, groups, flip_weight, bias)
    if down == 1 and pointwise:
        x = _convolve(x, w, [0] * 4, 1, groups, flip_weight, None)
        x = upfirdn2d(x, f, up=up, padding=pads, gain=up**2, flip_filter=flip_filter)
    else:
        x = _transposed(x, w, f, up, pads, groups, flip_weight, flip_filter)
        x = upfirdn2d(x, f, down=down, flip_filter=flip_filter) if down > 1 else x
    return x if bias is None else x + bias[:, None, None]


def _plain(
    x: Tensor,
    w: Tensor,
    f: Tensor | None,
    up: int,
    down: int,
    pads: list[int],
    groups: int,
    flip_weight: bool,
    flip_filter: bool,
    bias: Tensor | None,
) -> Tensor:
    """The definition, step by step."""
    x = upfirdn2d(x, f if up > 1 else None, up=up, padding=pads, gain=up**2, flip_filter=flip_filter)
    x = F.conv2d(x, w if flip_weight else w.flip((2, 3)), groups=groups)
    x = upfirdn2d(x, f, down=down, flip_filter=flip_filter) if down > 1 else x
    return x if bias is None else x + bias[:, None, None]


def _convolve(
    x: Tensor, w: Tensor, pads: list[int], stride: int, groups: int, flip_weight: bool, bias: Tensor | None
) -> Tensor:
    w = w if flip_weight or w.shape[2:] == (1, 1) else w.flip((2, 3))
    if stride == 1 and winograd_autograd.takes(x, w, pads, groups):
        x = winograd_autograd.same_size(x, w)
        return x if bias is None else x + bias[:, None, None]
    x0, x1, y0, y1 = pads
    if x0 == x1 >= 0 and y0 == y1 >= 0:
        return F.conv2d(x, w, bias, stride=stride, padding=(y0, x0), groups=groups)
    return F.conv2d(F.pad(x, pads), w, bias, stride=stride, groups=groups)


def _resample_by_two(
    x: Tensor, w: Tensor, f: Tensor, up: int, flip_weight: bool, flip_filter: bool, bias: Tensor | None
) -> Tensor:
    """By minimal filtering, with 3x3 taps, a FIR filter of 4x4 and a padding of 1."""
    if up == 2:
        taps = (f if flip_filter else f.flip((0, 1))) * up**2
        x = winograd_autograd.enlarge(x, _swap_channels(w.flip((2, 3)) if flip_weight else w, 1), taps)
    else:
        taps = f.flip((0, 1)) if flip_filter else f
        x = winograd_autograd.reduce(x, w if flip_weight else w.flip((2, 3)), taps)
    return x if bias is None else x + bias[:, None, None]


def _transposed(
    x: Tensor,
    w: Tensor,
    f: Tensor | None,
    up: int,
    pads: list[int],
    groups: int,
    flip_weight: bool,
    flip_filter: bool,
) -> Tensor:
    """Upsampling convolution: a transposed convolution (which skips the inserted zeros), then the FIR filter.

    The transposed convolution yields (H - 1) * up + k rows, of which row 0 is k - 1 rows above the first that a
    convolution of the zero-inserted image would have; the filter's padding makes up the difference.
    """
    height, width = w.shape[2:]
    x0, x1, y0, y1 = pads
    rest = [x0 - (width - 1), x1 - (width - up), y0 - (height - 1), y1 - (height - up)]
    crop_x, crop_y = max(-max(rest[:2]), 0), max(-max(rest[2:]), 0)
    w = _transposed_weight(w, groups, flip_weight)
    x = F.conv_transpose2d(x, w, stride=up, padding=(crop_y, crop_x), groups=groups)
    rest = [rest[0] + crop_x, rest[1] + crop_x, rest[2] + crop_y, rest[3] + crop_y]
    return upfirdn2d(x, f, padding=rest, gain=up**2, flip_filter=flip_filter)


def _transposed_weight(w: Tensor, groups: int, flip_weight: bool) -> Tensor:
    """That of the transposed convolution; a tidy copy is kept in inference mode."""

    def make() -> Tensor:
        return _swap_channels(w.flip((2, 3)) if flip_weight else w, groups)

    if not inference_cache.enabled():
        return make()
    copy = lambda: make().clone(memory_format=torch.contiguous_format)  # noqa: E731
    return inference_cache.cached(w, ("transposed", groups, flip_weight), copy)


def _swap_channels(w: Tensor, groups: int) -> Tensor:
    """[Co, Ci / groups, k, k] as the [Ci, Co / groups, k, k] of a transposed convolution."""
    if groups == 1:
        return w.transpose(0, 1)
    return w.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)  # [groups Ci / groups, Co / groups, k, k]


