"""Heatmaps that come as pictures, where a layout would render them."""

from dataclasses import dataclass

from torch import Tensor

from training.config import Registration
from training.layouts.layout import EPS
from training.layouts.registration import resize


@dataclass(frozen=True)
class RenderedLayout:
    """One [N, n, R, R] a level; resized where needed."""

    levels: tuple[Tensor, ...]
    registration: Registration = "corners"

    def heatmaps(self, level: int, resolution: int, floor: float = EPS) -> Tensor:
        """[N, n, resolution, resolution]; what floor they have is the pictures' own."""
        return resize(self.levels[min(level, len(self.levels) - 1)], resolution, self.registration)
