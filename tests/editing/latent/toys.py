"""Latents with conditions that arithmetic gives, in the place of a model with pictures."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from editing.latent.interface import Points

WIDTH = 6


@dataclass
class ToySubject:
    """Normal latents [N, 6]; `calls` counts how often a condition was measured."""

    function: Callable[[Tensor], Tensor]
    names: tuple[str, ...] = ("a", "b")
    calls: list[int] = field(default_factory=list)

    def draw(self, count: int, seed: int) -> Points:
        return Points(torch.randn([count, WIDTH], generator=torch.Generator().manual_seed(seed)))

    def measure(self, points: Points, with_gradients: bool = False) -> Tensor:
        self.calls.append(len(points))
        return self.function(points.values)


def linear(z: Tensor) -> Tensor:
    """Two attributes that are correlated: the cosine of their gradients is 0.6."""
    return torch.stack([z[:, 0], 0.6 * z[:, 0] + 0.8 * z[:, 1]], 1)


def curved(z: Tensor) -> Tensor:
    """Attributes that bend, and the first of which stays below 1."""
    return torch.stack([torch.tanh(z[:, 0] + 0.3 * z[:, 1]), z[:, 1] + 0.2 * z[:, 0].square()], 1)
