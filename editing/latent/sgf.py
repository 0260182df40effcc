"""SGF: latents follow a surrogate gradient field (paper 004, Li et al. 2021).

With an auxiliary mapping F(z, c(z)) = z, a path on which conditions change at the rate v has
dz/dt = (I - dF/dz)^-1 dF/dc v (equations 5 to 7). It is followed in steps of fixed size; the condition is measured
anew at each, and the path ends where it is near enough to the target (algorithm 1). Nothing is differentiated but F.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor
from torch.func import jvp

from dnnlib.errors import UserError
from editing.latent.auxiliary import AuxiliaryMapping, MappingOptions, learn
from editing.latent.interface import (
    Edit,
    Method,
    Pairs,
    Points,
    Step,
    Subject,
    Target,
    Watch,
    Wish,
    deviations_of,
    unwatched,
    watched,
)
from editing.latent.neumann import neumann
from editing.latent.walking import Walk, WalkOptions

MOST_A_STEP = 1.0  # deviations among random pictures


@dataclass(frozen=True)
class SgfOptions:
    """step: of the way from the start's condition to the target's, a step. order: of the Neumann series at most.

    A step asks for MOST_A_STEP deviations of a number at most, so that targets far off are not jumped at.

    aim: "measured", v leads from the condition as measured to the target, at constant speed; "start", v is the
    difference of target and start throughout (equation 7). keep: whether v takes back what has drifted in entries that
    do not count; else it is 0 there. fast: the mapping is trusted, the condition measured at the start and the end only
    (appendix J); there are as many steps as it takes to go all the way, walk.max_steps at most.
    """

    step: float = 0.25
    order: int = 100
    aim: str = "measured"
    keep: bool = False
    fast: bool = False
    mapping: MappingOptions = field(default_factory=MappingOptions)
    walk: WalkOptions = field(default_factory=WalkOptions)

    def __post_init__(self):
        if self.aim not in ("measured", "start"):
            raise UserError(f"aim '{self.aim}' is none of measured, start")
        if not 0 < self.step <= 1:
            raise UserError(f"a step of {self.step:g} of the way: give one above 0, 1 at most")


@dataclass(frozen=True)
class Scale:
    """Standardised numbers: (x - mean) / deviation. Latents share one deviation, conditions [C] have one each."""

    mean: Tensor
    deviation: Tensor

    def to_standard(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation

    @classmethod
    def of(cls, x: Tensor, shared: bool) -> "Scale":
        if not shared:
            return cls(x.mean(0), deviations_of(x))
        return cls(x.mean(0), (x - x.mean(0)).square().mean().sqrt().clamp_min(1e-8))


class Sgf(Method):
    """A surrogate gradient field for one subject."""

    name = "sgf"

    def __init__(
        self, subject: Subject, mapping: AuxiliaryMapping, latents: Scale, conditions: Scale,
        options: SgfOptions | None = None,
    ):  # fmt: skip
        """Raises ValueError when the mapping's Jacobian is not certain to have a norm below 1."""
        self.subject, self.mapping, self.options = subject, mapping, options or SgfOptions()
        self.latents, self.conditions = latents, conditions
        self.bound = mapping.bound()
        if not self.bound < 1:
            raise ValueError(f"the mapping may lengthen latents by {self.bound:g}; its bound must be below 1")

    @classmethod
    def fit(cls, subject: Subject, pairs: Pairs, options: SgfOptions | None = None, seed: int = 0) -> Self:
        options = options or SgfOptions()
        latents, conditions = Scale.of(pairs.values, shared=True), Scale.of(pairs.conditions, shared=False)
        standard = latents.to_standard(pairs.values), conditions.to_standard(pairs.conditions)
        return cls(subject, learn(*standard, options.mapping, seed), latents, conditions, options)

    def path(self, points: Points, wish: Wish) -> Iterator[Step]:
        target = self._target(points, wish)
        yield from self._trusting(points, target) if self.options.fast else self._walk(points, target).steps()

    def edit(self, points: Points, wish: Wish, watch: Watch = unwatched) -> Edit:
        target = self._target(points, wish)
        if not self.options.fast:
            return self._walk(points, target).edit(watch)
        first, *_, last = watched(self._trusting(points, target), watch)
        assert first.condition is not None, "it is measured at the start"
        with torch.no_grad():
            condition = self.subject.measure(points.at(last.values))
        before, after = target.distance(first.condition), target.distance(condition)
        moved = (after < before) & (before > 1)
        values, condition = (
            torch.where(moved[:, None], *each) for each in ((last.values, first.values), (condition, first.condition))
        )
        reached = target.distance(condition) <= 1
        reasons = tuple("reached" if there else "step limit" for there in reached.tolist())
        return Edit(values, condition, reached, self._planned(first.condition, target) * moved, reasons)

    def field(self, values: Tensor, condition: Tensor, rate: Tensor) -> Tensor:
        """dz/dt [N, D] at latents [N, D] with conditions [N, C], for conditions that change at `rate` [N, C]."""
        z, c = self.latents.to_standard(values), self.conditions.to_standard(condition)
        v = rate / self.conditions.deviation
        with torch.no_grad():
            b = jvp(lambda each: self.mapping(z, each), (c,), (v,))[1]
            way = neumann(self.mapping.product(z, c), b, self.bound, self.options.order)
        return way * self.latents.deviation

    def _target(self, points: Points, wish: Wish) -> Target:
        """A strength is a target that many deviations of the attribute away."""
        if isinstance(wish, Target):
            return wish
        if not 0 <= wish.index < len(self.conditions.mean):
            raise UserError(f"no attribute {wish.index}; there are 0 to {len(self.conditions.mean) - 1}")
        with torch.no_grad():
            values = self.subject.measure(points)
        values[:, wish.index] += wish.amount * self.conditions.deviation[wish.index]
        return Target(values, (wish.index,), 0.1 * self.conditions.deviation)

    def _walk(self, points: Points, target: Target) -> Walk:
        return Walk(self.subject, points, target, self._advance, self.options.walk)

    def _advance(self, values: Tensor, condition: Tensor, start: Tensor, target: Target, rows: Tensor) -> Tensor:
        return values + self.field(values, condition, self._rate(condition, start, target))

    def _rate(self, condition: Tensor, start: Tensor, target: Target) -> Tensor:
        """[N, C], of one step."""
        most = MOST_A_STEP * self.conditions.deviation
        return self._uncapped_rate(condition, start, target).clamp(-most, most)

    def _planned(self, condition: Tensor, target: Target) -> Tensor:
        """How many steps it takes to go all the way from conditions [N, C], [N]."""
        ways = ((target.values - condition) * _counting(target) / self.conditions.deviation).abs().amax(1)
        fewest, most = math.ceil(1 / self.options.step), self.options.walk.max_steps
        return (ways / MOST_A_STEP).ceil().clamp(min(fewest, most), most).long()

    def _uncapped_rate(self, condition: Tensor, start: Tensor, target: Target) -> Tensor:
        whole = target.values - start
        if self.options.aim == "start":
            return whole * _counting(target) * self.options.step
        left = target.values - condition
        share = self.options.step * (whole / left).abs().nan_to_num(0.0, 0.0, 0.0)
        rate = left * share.clamp(max=1.0)
        drift = left * self.options.step if self.options.keep else torch.zeros_like(left)
        return torch.where(_counting(target), rate, drift)

    def _trusting(self, points: Points, target: Target) -> Iterator[Step]:
        """Steps without measuring: conditions are taken to change as they should."""
        with torch.no_grad():
            condition = self.subject.measure(points)
        values, steps = points.values, self._planned(condition, target)
        most = MOST_A_STEP * self.conditions.deviation
        rate = ((target.values - condition) * _counting(target) / steps[:, None]).clamp(-most, most)
        nowhere = torch.zeros(len(points), dtype=torch.bool)
        yield Step(0, values, condition, nowhere)
        for number in range(1, int(steps.max()) + 1):
            goes = (number <= steps)[:, None]
            values = torch.where(goes, values + self.field(values, condition, rate), values)
            condition = torch.where(goes, condition + rate, condition)
            yield Step(number, values, None, nowhere)


def _counting(target: Target) -> Tensor:
    """Which entries of a condition the target is about, bool [C]."""
    counts = torch.zeros(target.values.shape[1], dtype=torch.bool, device=target.values.device)
    counts[list(target.of)] = True
    return counts
