"""Upsample, pad, FIR-filter and downsample images, as one linear operation.

The version here is the specification; `upfirdn2d` hands over to the native or the plain one where those are chosen.

Positions and paddings are counted on the upsampled grid. Wherever a pair or a quadruple is accepted, the
horizontal value comes first: [x, y] and [x0, x1, y0, y1] (left, right, top, bottom).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from torch_utils.native.geometry import adjoint_padding
from torch_utils.native.operators import native
from torch_utils.ops import reference
from torch_utils.ops.selection import is_reference, takes_native, upfirdn2d_wins

NATIVE_TAPS = 1024  # the native version takes filters of up to this many

Pair = int | Sequence[int]


class _Geometry(NamedTuple):
    """All integers of one resampling, (x, y) or (x0, x1, y0, y1)."""

    up: tuple[int, int]
    down: tuple[int, int]
    padding: tuple[int, int, int, int]


def setup_filter(
    f: Tensor | Sequence | float | None,
    device: torch.device | str | None = None,
    normalize: bool = True,
    flip_filter: bool = False,
    gain: float = 1,
    separable: bool | None = None,
) -> Tensor:
    """Make the FIR filter that the other functions take, float32 of shape [taps] or [height, width].

    A list stays one-dimensional (applied along x and y in turn) when `separable` is True, or when it is
    left open and there are 8 taps or more; otherwise it becomes its outer product. `normalize` makes the
    taps sum to 1. `gain` is the gain of the two-dimensional filter, hence its square root for a separable one.
    Raises ValueError for an empty filter or one with more than two dimensions.
    """
    taps = torch.as_tensor(1 if f is None else f, dtype=torch.float32)
    taps = taps.reshape(1) if taps.ndim == 0 else taps
    if taps.ndim > 2 or taps.numel() == 0:
        raise ValueError(f"a FIR filter has one or two dimensions and at least one tap, not shape {list(taps.shape)}")
    if separable is None:
        separable = taps.ndim == 1 and len(taps) >= 8
    if taps.ndim == 1 and not separable:
        taps = taps[:, None] * taps[None, :]
    if normalize:
        taps = taps / taps.sum()
    if flip_filter:
        taps = taps.flip(tuple(range(taps.ndim)))
    return (taps * gain ** (taps.ndim / 2)).to(device)


def upfirdn2d(
    x: Tensor,
    f: Tensor | None,
    up: Pair = 1,
    down: Pair = 1,
    padding: Pair = 0,
    flip_filter: bool = False,
    gain: float = 1,
) -> Tensor:
    """Insert zeros, pad, filter and decimate each channel of `x`.

    Args:
        x: images [N, C, H, W], any floating-point type.
        f: filter from setup_filter ([taps] separable, [height, width], or None for a single tap of 1).
        up: zeros are inserted so that sample i moves to i * up.
        down: every down-th sample of the result is kept, from the first on.
        padding: zeros around the upsampled image; negative numbers crop.
        flip_filter: False convolves, True correlates.
        gain: factor on the result.

    Returns:
        [N, C, (H * up + y0 + y1 - fh) // down + 1, (W * up + x0 + x1 - fw) // down + 1].
    """
    if f is None:
        f = x.new_ones([1], dtype=torch.float32)
    geometry = _Geometry(_pair(up), _pair(down), parse_padding(padding))
    if is_reference():
        return reference.upfirdn2d(x, f, *geometry, flip_filter, gain)
    apply = _native if takes_native(x, upfirdn2d_wins(x)) and f.numel() <= NATIVE_TAPS else _plain
    if f.ndim == 2:
        return apply(x, f, geometry, not flip_filter, gain)
    (up_x, up_y), (down_x, down_y), (x0, x1, y0, y1) = geometry
    x = apply(x, f[None, :], _Geometry((up_x, 1), (down_x, 1), (x0, x1, 0, 0)), not flip_filter, gain**0.5)
    return apply(x, f[:, None], _Geometry((1, up_y), (1, down_y), (0, 0, y0, y1)), not flip_filter, gain**0.5)


def _native(x: Tensor, f: Tensor, geometry: _Geometry, flip: bool, gain: float) -> Tensor:
    return native.upfirdn2d(x, f.detach(), *geometry, flip, gain)


def _plain(x: Tensor, f: Tensor, geometry: _Geometry, flip: bool, gain: float) -> Tensor:
    return _Resample.apply(x, f * gain, geometry, flip)


def filter2d(x: Tensor, f: Tensor | None, padding: Pair = 0, flip_filter: bool = False, gain: float = 1) -> Tensor:
    """Filter at constant size: [N, C, H, W] to [N, C, H, W] (plus the extra `padding`)."""
    width, height = filter_size(f)
    same = (width // 2, (width - 1) // 2, height // 2, (height - 1) // 2)
    return upfirdn2d(x, f, padding=_add(padding, same), flip_filter=flip_filter, gain=gain)


def upsample2d(
    x: Tensor, f: Tensor | None, up: Pair = 2, padding: Pair = 0, flip_filter: bool = False, gain: float = 1
) -> Tensor:
    """Enlarge [N, C, H, W] to [N, C, H * up, W * up] (plus the extra `padding`), keeping its brightness."""
    up = _pair(up)
    total = _add(padding, up_padding(f, up))
    return upfirdn2d(x, f, up=up, padding=total, flip_filter=flip_filter, gain=gain * up[0] * up[1])


def downsample2d(
    x: Tensor, f: Tensor | None, down: Pair = 2, padding: Pair = 0, flip_filter: bool = False, gain: float = 1
) -> Tensor:
    """Reduce [N, C, H, W] to [N, C, H // down, W // down] (for the extra `padding` 0)."""
    down = _pair(down)
    total = _add(padding, down_padding(f, down))
    return upfirdn2d(x, f, down=down, padding=total, flip_filter=flip_filter, gain=gain)


def filter_size(f: Tensor | None) -> tuple[int, int]:
    """(width, height) of a filter from setup_filter; a separable one is square, None counts as one tap."""
    return (1, 1) if f is None else (f.shape[-1], f.shape[0])


def up_padding(f: Tensor | None, up: tuple[int, int]) -> tuple[int, int, int, int]:
    """Padding (x0, x1, y0, y1) that centres a filter on an image enlarged by `up`."""
    (width, height), (x, y) = filter_size(f), up
    return (width + x - 1) // 2, (width - x) // 2, (height + y - 1) // 2, (height - y) // 2


def down_padding(f: Tensor | None, down: tuple[int, int]) -> tuple[int, int, int, int]:
    """Padding (x0, x1, y0, y1) that centres a filter on an image to be reduced by `down`."""
    (width, height), (x, y) = filter_size(f), down
    return (width - x + 1) // 2, (width - x) // 2, (height - y + 1) // 2, (height - y) // 2


def parse_padding(padding: Pair) -> tuple[int, int, int, int]:
    """A number, [x, y] or [x0, x1, y0, y1] as (x0, x1, y0, y1). Raises ValueError for other lengths."""
    values = [padding] * 4 if isinstance(padding, int) else [int(p) for p in padding]
    if len(values) == 2:
        values = [values[0], values[0], values[1], values[1]]
    if len(values) != 4:
        raise ValueError(f"padding is a number, [x, y] or [x0, x1, y0, y1], not {padding}")
    x0, x1, y0, y1 = values
    return x0, x1, y0, y1


class _Resample(torch.autograd.Function):
    """Correlate with taps reversed or not; its adjoint is another such resampling, so any order of derivative works.

    Written as a Function because autograd's own double backward of a depthwise convolution is slow.
    """

    @staticmethod
    def forward(ctx, x: Tensor, f: Tensor, geometry: _Geometry, flip: bool) -> Tensor:
        y = _resample(x, f.flip((0, 1)) if flip else f, geometry)
        ctx.save_for_backward(f)
        ctx.flip, ctx.adjoint = flip, _adjoint(geometry, f, x.shape, y.shape)
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (f,) = ctx.saved_tensors
        return _Resample.apply(grad, f, ctx.adjoint, not ctx.flip), None, None, None


def _adjoint(geometry: _Geometry, f: Tensor, size: torch.Size, result: torch.Size) -> _Geometry:
    """The geometry that carries gradients back: up and down change places, the taps run the other way."""
    extents = (f.shape[1], f.shape[0]), (size[3], size[2]), (result[3], result[2])
    return _Geometry(geometry.down, geometry.up, adjoint_padding(*geometry, *extents))


def _resample(x: Tensor, taps: Tensor, geometry: _Geometry) -> Tensor:
    """Depthwise correlation with `taps`; the inserted zeros are never stored nor visited."""
    weight = taps.to(x.dtype).expand(x.shape[1], 1, *taps.shape)
    if geometry.up == (1, 1):
        return _filter_and_decimate(x, weight, geometry)
    return _spread(x, weight, geometry)[:, :, :: geometry.down[1], :: geometry.down[0]]


def _filter_and_decimate(x: Tensor, weight: Tensor, geometry: _Geometry) -> Tensor:
    (down_x, down_y), (x0, x1, y0, y1) = geometry.down, geometry.padding
    symmetric = x0 == x1 >= 0 and y0 == y1 >= 0
    if not symmetric:
        x = F.pad(x, geometry.padding)
    inside = (y0, x0) if symmetric else (0, 0)
    return F.conv2d(x, weight, stride=(down_y, down_x), padding=inside, groups=x.shape[1])


def _spread(x: Tensor, weight: Tensor, geometry: _Geometry) -> Tensor:
    """Upsample and filter by a transposed convolution.

    It yields (W - 1) * up + taps columns, the first of them taps - 1 before the first of an unpadded correlation, so
    what the padding leaves out has to be cropped: as much as possible by the convolution itself.
    """
    (up_x, up_y), (x0, x1, y0, y1) = geometry.up, geometry.padding
    height, width = weight.shape[2:]
    left, right, top, bottom = width - 1 - x0, width - up_x - x1, height - 1 - y0, height - up_y - y1
    across, along = max(min(left, right), 0), max(min(top, bottom), 0)
    y = F.conv_transpose2d(
        x, weight.flip((2, 3)), stride=(up_y, up_x), padding=(along, across), groups=x.shape[1]
    )
    rest = (across - left, across - right, along - top, along - bottom)
    return F.pad(y, rest) if any(rest) else y


def _pair(value: Pair) -> tuple[int, int]:
    """A positive number or [x, y] as (x, y). Raises ValueError otherwise."""
    x, y = (value, value) if isinstance(value, int) else value
    if x < 1 or y < 1:
        raise ValueError(f"resampling factors are at least 1, not {value}")
    return int(x), int(y)


def _add(padding: Pair, more: tuple[int, int, int, int]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(parse_padding(padding), more, strict=True))
