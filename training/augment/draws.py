"""The random decisions of an augmentation, one for each sample."""

from typing import Any

import torch
from torch import Tensor


class Draws:
    """Draws [N] numbers at a time from one torch.Generator, on its device.

    How many are drawn never depends on what came out, so that a stream can be continued. Another class with these
    methods may decide otherwise (tests make every transform happen, by a known amount).
    """

    def __init__(self, generator: torch.Generator, count: int, dtype: torch.dtype = torch.float32):
        self._how: dict[str, Any] = {"generator": generator, "device": generator.device, "dtype": dtype}
        self.count = count

    def gate(self, chance: Tensor) -> Tensor:
        """True with probability `chance` []: bool [N]."""
        return self.uniform() < chance

    def uniform(self) -> Tensor:
        """[N] in [0, 1)."""
        return torch.rand([self.count], **self._how)

    def turns(self) -> tuple[Tensor, Tensor]:
        """Uniform numbers for the rotations before and after a stretching."""
        return self.uniform(), self.uniform()

    def normal(self) -> Tensor:
        """[N], standard normal."""
        return torch.randn([self.count], **self._how)

    def half_normal(self) -> Tensor:
        """[N], the absolute value of a standard normal number."""
        return self.normal().abs()

    def white_noise(self, shape: torch.Size) -> Tensor:
        """Standard normal numbers of this shape."""
        return torch.randn(shape, **self._how)


def only(gate: Tensor, value: Tensor, neutral: float = 0.0) -> Tensor:
    """`value` where the gate is open, else the number that changes nothing."""
    return torch.where(gate, value, neutral)
