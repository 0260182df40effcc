"""What the native and the PyTorch version of upfirdn2d both have to know about positions."""

from collections.abc import Sequence


def adjoint_padding(
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    taps: Sequence[int],
    size: Sequence[int],
    result: Sequence[int],
) -> tuple[int, int, int, int]:
    """Padding (x0, x1, y0, y1) of the resampling that carries gradients back.

    It has `up` and `down` exchanged, and the taps run the other way. All pairs are (x, y); `taps`, `size` and
    `result` are the extents of the filter, the image and the result.
    """
    ends = [0, 0, 0, 0]
    for axis in (0, 1):
        before = padding[2 * axis]
        ends[2 * axis] = taps[axis] - 1 - before
        ends[2 * axis + 1] = (size[axis] - 1) * up[axis] + before + 1 - result[axis] * down[axis]
    left, right, top, bottom = ends
    return left, right, top, bottom


def result_size(up: int, down: int, before: int, after: int, taps: int, size: int) -> int:
    """Extent of the result along one axis."""
    return (size * up + before + after - taps) // down + 1
