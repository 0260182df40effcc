"""Whether what a heatmap covers moves along with its centre: a regularizer of ours (docs/method.md, section 5)."""

import torch
from torch import Tensor


def shifted(images: Tensor, dx: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
    """Images [N, C, H, W] moved by whole pixels, integers dx (right) and dy (down) [N], and which of their pixels
    were in the picture before, [N, H, W]; the others repeat its border."""
    number, _, height, width = images.shape
    rows = torch.arange(height, device=images.device) - dy[:, None]  # [N, H]: where each row was
    columns = torch.arange(width, device=images.device) - dx[:, None]
    inside = _within(rows, height)[:, :, None] & _within(columns, width)[:, None, :]
    which = torch.arange(number, device=images.device)[:, None, None]
    taken = images.permute(0, 2, 3, 1)[
        which, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]
    ]
    return taken.permute(0, 3, 1, 2), inside


def follow_distance(before: Tensor, after: Tensor, heatmap: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """How far pictures are from having moved by (dx, dy) what their heatmap covers: mean square, [N].

    before, after [N, C, H, W]: of a layout, and with a centre moved by whole pixels dx, dy [N]. heatmap [N, H, W]: the
    moved one; pixels weigh as its square, so that the background around an object counts little. Pixels that show
    what was out of the picture do not count.
    """
    expected, inside = shifted(before, dx, dy)
    weights = heatmap.square() * inside
    distances = (after - expected).square().mean(1)
    return (distances * weights).sum((1, 2)) / (weights.sum((1, 2)) + 1e-8)


def _within(index: Tensor, size: int) -> Tensor:
    return (index >= 0) & (index < size)
