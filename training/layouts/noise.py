"""Heatmaps spoilt on purpose, for ablations: Gaussian noise in their place, or impulses among their pixels.

The noise is a fixed field on a fine grid, one for each picture, and a heatmap of any size reads it at the positions of
its pixels. So it does not depend on the size, stays when a centre moves, and follows from one number.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

GRID = 4097  # positions a side: the pixels of every size 2^k + 1 fall on it, and those of other sizes nearby
MEAN, STD = 0.5, 0.25  # of Gaussian noise, so that it has about the range of a heatmap (ours)

NoiseKind = Literal["gaussian", "impulse"]


@dataclass(frozen=True)
class HeatmapNoise:
    """What becomes of the heatmaps of N pictures.

    seeds: int64 [N], below 2^32. share: of the pixels, to be set to 0 or 1 by impulses; Gaussian noise takes all.
    """

    kind: NoiseKind
    seeds: Tensor
    share: float = 1.0

    def applied(self, heatmaps: Tensor, level: int) -> Tensor:
        """Heatmaps [N, n, r, r] of a level with this noise."""
        drawn = self._uniform(level, heatmaps)
        if self.kind == "gaussian":
            return MEAN + STD * torch.special.ndtri(drawn)
        high, low = drawn < self.share / 2, drawn > 1 - self.share / 2
        return heatmaps.masked_fill(high, 1.0).masked_fill(low, 0.0)

    def select(self, index) -> "HeatmapNoise":
        """That of some pictures."""
        return HeatmapNoise(self.kind, self.seeds[index], self.share)

    def to(self, device: torch.device | str) -> "HeatmapNoise":
        return HeatmapNoise(self.kind, self.seeds.to(device), self.share)

    def _uniform(self, level: int, like: Tensor) -> Tensor:
        """Numbers within (0, 1), of the shape and type of `like`."""
        count, r, device = like.shape[1], like.shape[2], like.device
        axis = torch.linspace(0, GRID - 1, r, device=device).round().long()
        hashed = _hash(self.seeds.to(device)[:, None, None, None] + level)
        hashed = _hash(hashed + torch.arange(count, device=device)[:, None, None])
        hashed = _hash(_hash(hashed + axis[:, None]) + axis)
        return ((hashed >> 9).to(like.dtype) + 0.5) / 2**23


def _hash(numbers: Tensor) -> Tensor:
    """Integers scattered over [0, 2^32), the same on every device: products are cut off to 32 bits."""
    for factor in (0x2C1B3C6D, 0x297A2D39):
        numbers = ((numbers ^ (numbers >> 15)) * factor) & 0xFFFFFFFF
    return numbers ^ (numbers >> 16)
