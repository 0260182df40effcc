"""Resample images under an affine map: mirrored at the borders, at twice the resolution, without aliasing."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from torch_utils.ops import downsample2d, upsample2d
from training.augment.affine import Affine

MARGIN = 3  # pixels that the filter of 12 taps reaches at the doubled resolution


class Extent(NamedTuple):
    """Pixels by which images grow on each side."""

    left: int
    right: int
    top: int
    bottom: int


def resample(images: Tensor, geometry: Affine, taps: Tensor, wait: bool | None = None) -> Tensor:
    """Images [N, C, H, W] whose pixel at p shows what is at geometry(p), in pixels around the middle.

    taps: 12, a lowpass filter of one dimension. Beyond its borders an image is mirrored as far as any sample of the
    batch needs, by W - 1 and H - 1 pixels at most; black beyond that. Samples with the identity stay as they are.

    That many pixels are added, if this may wait for the device to say how many (`wait`; by default on the CPU). On a
    GPU the largest number is, and what is too much is blanked out: more memory, the same result, and the host goes on.
    """
    height, width = images.shape[2:]
    needed = _needed(geometry, width, height)
    if images.device.type == "cpu" if wait is None else wait:
        extent = Extent(*(int(side) for side in needed))
        fine = upsample2d(F.pad(images, [*extent], mode="reflect"), taps)
    else:
        fine, extent = _upsample_largest(images, needed, taps)
    sampled = Sample.apply(fine, sample_positions(geometry, extent, width, height))
    result = downsample2d(sampled, taps, padding=-2 * MARGIN, flip_filter=True)
    return torch.where(geometry.is_identity()[:, None, None, None], images, result)


def _needed(geometry: Affine, width: int, height: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """How far the mapped corner pixels, and the filters around them, reach beyond the image."""
    x, y = (width - 1) / 2, (height - 1) / 2
    ends = torch.arange(-1, 2, 2, dtype=geometry.origin.dtype, device=geometry.origin.device)
    corners = geometry.grid(ends * x, ends * y)
    low, high = corners.amin((0, 1, 2)), corners.amax((0, 1, 2))

    def reach(distance: Tensor, half: float) -> Tensor:
        return (distance + (2 * MARGIN - half)).clamp(0, 2 * half).ceil()

    return reach(-low[0], x), reach(high[0], x), reach(-low[1], y), reach(high[1], y)


def _upsample_largest(
    images: Tensor, needed: tuple[Tensor, Tensor, Tensor, Tensor], taps: Tensor
) -> tuple[Tensor, Extent]:
    """The fine images of the largest extent, zero beyond what is needed as if that were all there is."""
    height, width = images.shape[2:]
    largest = Extent(width - 1, width - 1, height - 1, height - 1)
    padded = F.pad(images, [*largest], mode="reflect")
    left, right, top, bottom = needed
    x = largest.left - left, largest.left + width + right
    y = largest.top - top, largest.top + height + bottom
    fine = upsample2d(padded * _window(padded, x, y), taps)
    return fine * _window(fine, (2 * x[0], 2 * x[1]), (2 * y[0], 2 * y[1])), largest


def _window(like: Tensor, x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]) -> Tensor:
    """1 from the first to before the last column and row, 0 elsewhere: [H, W]."""
    return _between(like.shape[2], *y, like)[:, None] * _between(like.shape[3], *x, like)


def _between(length: int, first: Tensor, end: Tensor, like: Tensor) -> Tensor:
    """1 from `first` to before `end`, 0 elsewhere: [length]."""
    places = torch.arange(length, device=like.device)
    return ((places >= first) & (places < end)).to(like.dtype)


def sample_positions(geometry: Affine, extent: Extent, width: int, height: int) -> Tensor:
    """Where in the fine images each fine output pixel comes from: [N, 2 (H + 6), 2 (W + 6), 2], for grid_sample.

    Fine pixel 2 i is at pixel i. -1 and 1 are the outer edges of the border pixels (align_corners=False).
    """
    along_x, xs = _axis(width, extent.left, extent.right, geometry.origin)
    along_y, ys = _axis(height, extent.top, extent.bottom, geometry.origin)
    return geometry.into(along_x, along_y).grid(xs, ys)


def _axis(size: int, before: int, after: int, like: Tensor) -> tuple[tuple[float, float], Tensor]:
    """Along one axis: (factor, offset) from pixels around the middle to grid_sample, and the fine output positions."""
    half, fine = (size - 1) / 2, 2 * (before + size + after)
    places = torch.arange(2 * (size + 2 * MARGIN), dtype=like.dtype, device=like.device)
    return (4 / fine, (4 * (half + before) + 1) / fine - 1), places / 2 - (MARGIN + half)


class Sample(torch.autograd.Function):
    """Bilinear sampling of images [N, C, H, W] at a grid [N, h, w, 2], zero outside; linear in the images.

    PyTorch's own has no second derivative. Here the derivative is its adjoint, whose derivative is this again.
    """

    @staticmethod
    def forward(ctx, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = images.shape
        return _sample(images, grid)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        return _Scatter.apply(grad, grid, ctx.shape), None


class _Scatter(torch.autograd.Function):
    """The adjoint: values [N, C, h, w] are added to an empty image where the grid points to."""

    @staticmethod
    def forward(ctx, values: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        with torch.enable_grad():
            canvas = values.new_zeros(shape).requires_grad_()
            sampled = _sample(canvas, grid)
        return torch.autograd.grad(sampled, canvas, values)[0]

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return Sample.apply(grad, grid), None, None


def _sample(images: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
