"""What all methods of editing latents have in common: points, wishes, and steps on the way.

    method = Sgf.fit(subject, draw_pairs(subject, 10_000), SgfOptions())
    points = subject.of_seeds([7])
    edit = method.edit(points, toward(subject.measure(points), {subject.index("red"): 0.8}, tolerance=0.05))
    subject.pictures(points.at(edit.values))

A point is a latent [D], in Z or W, with what else its picture is made from. A condition is C numbers that a function of
the picture measures (conditions/).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.parsing import nearest, shown
from dnnlib.words import counted
from training.layouts.layout import Layout

SAME = 1e-6  # a deviation of less, in parts of the largest value, is none


@dataclass(frozen=True)
class Context:
    """What stays as it is while latents change: the styles at the start, ws [N, *w_shape], and the layout.

    origin: [N, D], the latents there.
    """

    ws: Tensor
    origin: Tensor
    layout: Layout | None

    def __getitem__(self, rows: Tensor) -> "Context":
        layout = None if self.layout is None else self.layout[rows.tolist()]
        return Context(self.ws[rows], self.origin[rows], layout)


@dataclass(frozen=True)
class Points:
    """N latents [N, D] of a subject, with their context where its pictures need one."""

    values: Tensor
    context: Context | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Tensor) -> "Points":
        """Those of the numbers `rows` [n]."""
        return Points(self.values[rows], None if self.context is None else self.context[rows])

    def at(self, values: Tensor) -> "Points":
        """The same pictures with other latents [N, D]."""
        return replace(self, values=values)


class Subject(Protocol):
    """What is edited: latents that make pictures whose condition can be measured."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the C numbers of a condition."""
        ...

    def draw(self, count: int, seed: int) -> Points:
        """Random ones, the same for the same seed."""
        ...

    def measure(self, points: Points, with_gradients: bool = False) -> Tensor:
        """Conditions [N, C]; differentiable with regard to the latents where asked for."""
        ...


def index_of(names: tuple[str, ...], name: str) -> int:
    """The number of a name. Raises UserError, naming the nearest one, when there is none."""
    if name not in names:
        raise UserError(f"no attribute '{name[:60]}'{nearest(name, names)}")
    return names.index(name)


# ---- wishes


@dataclass(frozen=True)
class Target:
    """Conditions [N, C] to be reached: exactly in the entries `of`, within `tolerance` [C] either way.

    The other entries say what is to be kept; nobody has to come near them.
    """

    values: Tensor
    of: tuple[int, ...]
    tolerance: Tensor

    def __post_init__(self):
        if not self.of or not self.values.isfinite().all() or not (self.tolerance > 0).all():
            raise UserError("a target needs finite numbers, a positive tolerance, and an entry that counts")

    def distance(self, condition: Tensor) -> Tensor:
        """[N], of conditions [N, C]: the largest difference in units of the tolerance; 1 or less is there."""
        entries = list(self.of)
        return ((condition - self.values).abs() / self.tolerance)[:, entries].amax(1)

    def __getitem__(self, rows: Tensor) -> "Target":
        return replace(self, values=self.values[rows])


def toward(condition: Tensor, wishes: Mapping[int, float | Tensor], tolerance: float | Tensor) -> Target:
    """The target of conditions [N, C] with other values, a number or [N], in some entries, and all else kept."""
    values = condition.clone()
    for index, value in wishes.items():
        values[:, index] = value
    return Target(values, tuple(wishes), torch.as_tensor(tolerance, dtype=values.dtype).expand(values.shape[1]))


@dataclass(frozen=True)
class Strength:
    """A way along attribute (or direction) `index`: so many standard deviations, a number or [N]."""

    index: int
    amount: float | Tensor


Wish = Target | Strength


# ---- what comes of them


@dataclass(frozen=True)
class Step:
    """Where an edit is. number: 0 is the start. values [N, D]; condition [N, C] where it was measured; reached [N]."""

    number: int
    values: Tensor
    condition: Tensor | None
    reached: Tensor


Watch = Callable[[Step], None]


def unwatched(step: Step) -> None:
    """Nobody looks at the steps of an edit."""


def watched(steps: Iterable[Step], watch: Watch) -> Iterator[Step]:
    """The same steps, each shown to `watch` first."""
    for step in steps:
        watch(step)
        yield step


@dataclass(frozen=True)
class Edit:
    """What came of an edit.

    values: [N, D], of each the latents nearest its target. condition: [N, C] of these. reached: [N]. steps: [N], the
    number of steps to them. reasons: N times why it ended: "reached", "no progress" or "step limit".
    """

    values: Tensor
    condition: Tensor | None
    reached: Tensor
    steps: Tensor
    reasons: tuple[str, ...]

    def said(self) -> str:
        """In one line, for people."""
        count, there = len(self.values), int(self.reached.sum())
        if there == count:
            return f"{there} of {count} reached the target, after {self.steps.float().mean():.1f} steps in the mean"
        why = ", ".join(sorted({reason for reason in self.reasons if reason != "reached"}))
        return f"{there} of {count} reached the target; the others stopped at the nearest latent found ({why})"


class Method(ABC):
    """A fitted method: how it goes from points to what is wished for.

    Methods that learn have a class method `fit(subject, pairs, options)`; straight directions come from elsewhere.
    """

    name: str

    @abstractmethod
    def path(self, points: Points, wish: Wish) -> Iterator[Step]:
        """Step by step; the first one is the start. Raises UserError for a wish that the method cannot fulfil."""

    @abstractmethod
    def edit(self, points: Points, wish: Wish, watch: Watch = unwatched) -> Edit:
        """The end of that path: of each the best that was found. watch: is shown every step on the way."""


# ---- what methods learn from


@dataclass(frozen=True)
class Pairs:
    """Random latents [M, D] and the conditions [M, C] of their pictures."""

    values: Tensor
    conditions: Tensor

    def __post_init__(self):
        """Raises UserError for a condition that says nothing."""
        if not self.conditions.isfinite().all():
            raise UserError("the condition is not a finite number for some pictures; nothing can be learnt from it")

    @property
    def deviations(self) -> Tensor:
        """[C], of the conditions; positive."""
        return deviations_of(self.conditions)

    def check_varies(self, entries: Iterable[int], names: Sequence[str]) -> None:
        """Raises UserError for an entry, one of `names`, that is the same in all pictures: nothing is known to move it.
        """
        same = [names[entry] for entry in entries if not varies(self.conditions)[entry]]
        if same:
            pictures = counted(len(self.conditions), "random picture")
            raise UserError(f"attribute '{shown(same[0])}' is the same in all {pictures}; nothing is known to move it")


def varies(conditions: Tensor) -> Tensor:
    """Which columns of conditions [M, C] differ by more than rounding does, bool [C]."""
    return conditions.std(0) > SAME * conditions.abs().amax(0)


def deviations_of(conditions: Tensor) -> Tensor:
    """Standard deviations [C] of conditions [M, C]; 1 for a column that is the same everywhere."""
    return torch.where(varies(conditions), conditions.std(0), 1.0)


def draw_pairs(subject: Subject, count: int, seed: int = 0) -> Pairs:
    """The same for the same seed."""
    points = subject.draw(count, seed)
    with torch.no_grad():
        return Pairs(points.values, subject.measure(points))
