"""Decisions without chance: every gate is open, and every number is the q-th part of its distribution.

The conventions are those of the golden file: erfinv without the factor sqrt 2, and no second rotation.
"""

import torch
from torch import Tensor


class PercentileDraws:
    """Stands in for training.augment.draws.Draws. `noise`: what white_noise returns."""

    def __init__(self, q: float, count: int, dtype: torch.dtype, noise: Tensor | None = None):
        self.q, self.noise = torch.full([count], q, dtype=dtype), noise

    def gate(self, chance: Tensor) -> Tensor:
        assert chance == 1
        return torch.ones(len(self.q), dtype=torch.bool)

    def uniform(self) -> Tensor:
        return self.q

    def turns(self) -> tuple[Tensor, Tensor]:
        return self.q, torch.full_like(self.q, 0.5)

    def normal(self) -> Tensor:
        return torch.erfinv(2 * self.q - 1)

    def half_normal(self) -> Tensor:
        return torch.erfinv(self.q)

    def white_noise(self, shape: torch.Size) -> Tensor:
        assert self.noise.shape == shape
        return self.noise
