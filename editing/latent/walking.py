"""Going towards a target in steps of fixed size, until the condition that is measured anew at each step is near it.

Every point goes its own way, and stops by itself; of each, the latents nearest its target are kept.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from editing.latent.interface import Edit, Points, Step, Subject, Target, Watch, unwatched

# latents [n, D], conditions there and at the start [n, C], targets, numbers [n] of the points -> the next latents
Advance = Callable[[Tensor, Tensor, Tensor, Target, Tensor], Tensor]

PROGRESS = 0.01  # a step that comes nearer by less, in units of the tolerance, is none


@dataclass(frozen=True)
class WalkOptions:
    """max_steps: of an edit. patience: steps without coming nearer after which it ends."""

    max_steps: int = 100
    patience: int = 20


class Walk:
    """One walk of N points, to be gone through step by step; then `edit` says what came of it."""

    def __init__(
        self, subject: Subject, points: Points, target: Target, advance: Advance, options: WalkOptions | None = None
    ):
        self.subject, self.points, self.target, self.advance = subject, points, target, advance
        self.options = options or WalkOptions()
        self.best, self.best_condition = points.values.clone(), target.values.clone()
        self.distance = points.values.new_full([len(points)], float("inf"))  # of the best, in tolerances
        self.best_step = torch.zeros_like(self.distance, dtype=torch.long)
        self.idle = torch.zeros_like(self.best_step)  # steps since it came nearer

    @property
    def reached(self) -> Tensor:
        """Which points are there, [N]."""
        return self.distance <= 1

    def steps(self) -> Iterator[Step]:
        """The start, and what every step leads to; points that have ended stay where they were best."""
        values, condition = self.best.clone(), self.best_condition.clone()
        rows = torch.arange(len(values), device=values.device)
        start: Tensor | None = None
        for number in range(self.options.max_steps + 1):
            condition[rows] = self._measured(values, rows)
            self._note(number, rows, values[rows], condition[rows])
            start = condition.clone() if start is None else start
            ended = self.reached | (self.idle >= self.options.patience)
            values[ended], condition[ended] = self.best[ended], self.best_condition[ended]
            yield Step(number, values.clone(), condition.clone(), self.reached.clone())
            rows = torch.nonzero(~ended)[:, 0]
            if not len(rows) or number == self.options.max_steps:
                return
            values[rows] = self.advance(values[rows], condition[rows], start[rows], self.target[rows], rows)

    def edit(self, watch: Watch = unwatched) -> Edit:
        """Walk to the end."""
        for step in self.steps():
            watch(step)
        reached, patient = self.reached, self.idle >= self.options.patience
        reasons = ("reached" if there else "no progress" if late else "step limit"
                   for there, late in zip(reached.tolist(), patient.tolist(), strict=True))  # fmt: skip
        return Edit(self.best, self.best_condition, reached, self.best_step, tuple(reasons))

    def _measured(self, values: Tensor, rows: Tensor) -> Tensor:
        with torch.no_grad():
            return self.subject.measure(self.points.at(values)[rows])

    def _note(self, number: int, rows: Tensor, values: Tensor, condition: Tensor) -> None:
        """Of the points `rows`, whether this is the nearest yet."""
        distance = self.target[rows].distance(condition)
        nearer = distance < self.distance[rows] - PROGRESS
        self.idle[rows] = torch.where(nearer, 0, self.idle[rows] + 1)
        better = (distance < self.distance[rows]) | (number == 0)
        self.best[rows[better]], self.best_condition[rows[better]] = values[better], condition[better]
        self.distance[rows[better]], self.best_step[rows[better]] = distance[better], number
