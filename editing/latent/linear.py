"""Edits along straight directions, one for each attribute: what SeFa, GANSpace and InterFaceGAN end in."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dnnlib.errors import UserError
from editing.latent.interface import (
    Edit,
    Method,
    Pairs,
    Points,
    Step,
    Strength,
    Subject,
    Target,
    Watch,
    Wish,
    unwatched,
    watched,
)
from editing.latent.walking import Walk, WalkOptions
from training.latent.directions import Directions


@dataclass(frozen=True)
class LinearOptions:
    """step: in standard deviations along the direction. walk: when an edit towards a target ends.

    stops: whether a path towards a target stops there; without, all points go on for all steps, as the papers have it.
    """

    step: float = 0.2
    walk: WalkOptions = field(default_factory=WalkOptions)
    stops: bool = True


class Linear(Method):
    """A direction for each entry of the condition: ways [C, D], already as long as a standard deviation.

    A way of zeros: nothing moves that attribute.
    """

    def __init__(self, subject: Subject, ways: Tensor, name: str, options: LinearOptions | None = None):
        self.subject, self.ways, self.name, self.options = subject, ways, name, options or LinearOptions()

    def path(self, points: Points, wish: Wish) -> Iterator[Step]:
        """To a target: step by step; with a strength: in as many steps as that takes at the options' size."""
        if isinstance(wish, Strength):
            yield from self._straight(points, wish)
        elif self.options.stops:
            yield from self._walk(points, wish).steps()
        else:
            yield from self._past(points, wish)

    def edit(self, points: Points, wish: Wish, watch: Watch = unwatched) -> Edit:
        """Of each point the latents nearest the target, or those at the strength."""
        if isinstance(wish, Target):
            return self._walk(points, wish).edit(watch)
        *_, last = watched(self._straight(points, wish), watch)
        count = len(points)
        return Edit(last.values, None, last.reached, torch.full([count], last.number), ("reached",) * count)

    def _straight(self, points: Points, wish: Strength) -> Iterator[Step]:
        if not 0 <= wish.index < len(self.ways):
            raise UserError(f"no direction {wish.index}; there are 0 to {len(self.ways) - 1}")
        amount = torch.as_tensor(wish.amount, dtype=points.values.dtype, device=points.values.device)
        count = max(1, int((amount.abs().max() / self.options.step).ceil()))
        way, there = self.ways[wish.index].to(points.values), torch.zeros(len(points), dtype=torch.bool)
        for number in range(count + 1):
            moved = points.values + (amount * (number / count)).reshape(-1, 1) * way
            yield Step(number, moved, None, there | (number == count))

    def _walk(self, points: Points, target: Target) -> Walk:
        return Walk(self.subject, points, target, self._advance, self.options.walk)

    def _advance(self, values: Tensor, condition: Tensor, start: Tensor, target: Target, rows: Tensor) -> Tensor:
        """A step along each attribute that is not there yet."""
        gap = (target.values - condition) / target.tolerance
        for index in target.of:
            way = gap[:, index].clamp(-1, 1) * (gap[:, index].abs() > 1)
            values = values + self.options.step * way[:, None] * self.ways[index].to(values)
        return values

    def _past(self, points: Points, target: Target) -> Iterator[Step]:
        with torch.no_grad():
            start = self.subject.measure(points)
        signs = (target.values - start).sign()
        step = sum(signs[:, [index]] * self.ways[index].to(points.values) for index in target.of)
        for number in range(self.options.walk.max_steps + 1):
            values = points.values + self.options.step * number * step
            yield Step(number, values, None, torch.zeros(len(points), dtype=torch.bool))


def matched(directions: Directions, pairs: Pairs) -> tuple[Tensor, list[int], Tensor]:
    """For each entry of the condition the direction that goes with it best: ways [C, D], numbers, correlations [C].

    That is the one along which latents are most correlated with the entry, turned so that the entry rises.
    """
    vectors = directions.vectors.to(pairs.values)
    along = pairs.values @ vectors.T  # [M, k]
    correlations = correlation(along, pairs.conditions)  # [k, C]
    best = correlations.abs().argmax(0)
    found = correlations.gather(0, best[None])[0]
    ways = (vectors * directions.deviations.to(vectors)[:, None])[best] * found.sign()[:, None]
    return ways, best.tolist(), found


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's [p, q] of columns of a [M, p] and b [M, q]; 0 where one of them is constant."""
    a, b = (x - x.mean(0) for x in (a, b))
    a, b = (x / x.norm(dim=0).clamp_min(1e-12) for x in (a, b))
    return a.T @ b
