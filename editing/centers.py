"""Centers of heatmaps that follow points (SpatialGAN, section 3.4): jumps, and steps of gradient descent.

Where levels 1 and 2 belong to a center of level 0, they take part in whatever that one does.
"""

from dataclasses import replace

import torch
from torch import Tensor

from training.layouts.layout import CHILD_LIMIT, Layout

MOST_ASKED = 3.0  # times its own way a point asks of centers


def moved_towards(layout: Layout, points: Tensor, targets: Tensor, radius: float, alpha: float) -> Layout | None:
    """c'_i = c_i + alpha (t - p) for centers within `radius` of a point (SpatialGAN, equation 6).

    points, targets [P, 2]. Of several points near a center, the mean of their ways counts. Centers of levels 1 and 2
    follow those of level 0; they move by themselves only where no center of level 0 is near a point. None where no
    center at all is near one.
    """
    for level, centers in enumerate(layout.centers):
        near = (centers[0][:, None] - points).norm(dim=-1) <= radius  # [n, P]
        if near.any():
            share = near.to(points.dtype)
            ways = share @ (targets - points) / share.sum(1, keepdim=True).clamp_min(1)  # [n, 2], 0 where none is near
            return shifted(layout, level, alpha * ways)
    return None


class Response:
    """By what ways of centers points make given ways: [2, 2], all of it to begin with, then as jumps have shown.

    The update is the least one that explains what was seen last (Broyden 1965, his second method).
    """

    def __init__(self, like: Tensor):
        self.inverse = torch.eye(2, dtype=like.dtype, device=like.device)

    def asked(self, ways: Tensor) -> Tensor:
        """Ways of centers for those of points, [P, 2]; at most MOST_ASKED as long."""
        asked = ways @ self.inverse.T
        return asked * (MOST_ASKED * ways.norm(dim=-1, keepdim=True) / asked.norm(dim=-1, keepdim=True)).clamp_max(1)

    def learn(self, asked: Tensor, seen: Tensor, least: float) -> None:
        """Centers were asked for ways [P, 2], points made these; of less than `least` nothing is learned."""
        asked, seen = asked.mean(0), seen.mean(0)
        if seen.norm() >= least:
            self.inverse += torch.outer(asked - self.inverse @ seen, seen) / seen.square().sum()


def shifted(layout: Layout, level: int, ways: Tensor) -> Layout:
    """A copy with the centers of a level moved by ways [n, 2], kept inside the picture; lower levels follow level 0.

    With several centers at level 0 and levels below, those below follow the mean.
    """
    before = layout.centers[level]
    centers = list(layout.centers)
    centers[level] = _inside(before + ways, level)
    if level == 0:
        way = (centers[0] - before).mean(1, keepdim=True)
        centers[1:] = [_inside(c + way, below) for below, c in enumerate(layout.centers[1:], start=1)]
    return replace(layout, centers=tuple(centers))


def descended(layout: Layout, gradients: tuple[Tensor | None, ...], length: float) -> Layout:
    """One step of gradient descent on the centers: the one that matters most moves by `length`, others in proportion.

    gradients: of the loss, [1, n, 2] a level, None where it has no influence. Unlike Adam's, which are of one length
    whatever the gradients, such steps leave centers where they are that have nothing to do with the points.
    """
    own = [torch.zeros_like(c) if g is None else g for c, g in zip(layout.centers, gradients, strict=True)]
    total = [own[0] + sum(g.sum(1, keepdim=True) for g in own[1:]), *own[1:]]  # a parent moves all below
    longest = max(g.norm(dim=-1).max() for g in total)
    if longest == 0:
        return layout
    for level, gradient in enumerate(total):
        layout = shifted(layout, level, -length / longest * gradient[0])
    return layout


def _inside(centers: Tensor, level: int) -> Tensor:
    limit = 1.0 if level == 0 else CHILD_LIMIT
    return centers.clamp(-limit, limit)
