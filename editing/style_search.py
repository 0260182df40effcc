"""What a search for a picture may change: styles, centers and spreads, as parameters of about the same scale."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from editing.observation import detached, leaf
from training.layouts.layout import CHILD_LIMIT, Layout

SPREADS = (0.01, 4.0)  # that are looked at


class Styles:
    """ws [N, *w_shape] = start + deviation * (common + own): `common` [N, 1, ...] to all layers, `own` in W+ only."""

    def __init__(self, start: Tensor, deviation: Tensor, has_own: bool):
        self.start, self.deviation = start, deviation
        self.common = leaf(torch.zeros_like(start[:, :1]))
        self.own = leaf(torch.zeros_like(start)) if has_own else None

    @property
    def parameters(self) -> list[Tensor]:
        return [self.common] if self.own is None else [self.common, self.own]

    def __call__(self, noise: Tensor | float = 0.0) -> Tensor:
        """The styles; noise: in deviations."""
        own = 0.0 if self.own is None else self.own
        return self.start + self.deviation * (self.common + own + noise)


@dataclass(frozen=True)
class Places:
    """Centers and spreads of a layout: centers = start + way of all + own way, spreads = start * exp(growth).

    way [N, 1, 2] takes all centers along; ways [N, n, 2] and growths [N, n] a level.
    """

    start: Layout
    way: Tensor
    ways: tuple[Tensor, ...]
    growths: tuple[Tensor, ...]

    @classmethod
    def at(cls, start: Layout) -> "Places":
        start = detached(start)
        way = leaf(torch.zeros_like(start.centers[0][:, :1]))
        own = tuple(leaf(torch.zeros_like(c)) for c in start.centers)
        return cls(start, way, own, tuple(leaf(torch.zeros_like(s)) for s in start.spreads))

    @property
    def parameters(self) -> list[Tensor]:
        return [self.way, *self.ways, *self.growths]

    def __call__(self) -> Layout:
        """The layout, inside the limits of layouts."""
        limits = [1.0, *[CHILD_LIMIT] * (len(self.ways) - 1)]
        levels = zip(self.start.centers, self.ways, limits, strict=True)
        centers = tuple((c + self.way + own).clamp(-limit, limit) for c, own, limit in levels)
        spreads = zip(self.start.spreads, self.growths, strict=True)
        return replace(self.start, centers=centers, spreads=tuple((s * g.exp()).clamp(*SPREADS) for s, g in spreads))
