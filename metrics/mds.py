"""Manipulation Disentanglement Score (paper 004, section 4.4.1): how much else changes where one attribute is edited.

As an edit gets stronger, the share of pictures whose attribute has changed to the target (accuracy) rises, and the mean
share of other attributes that have not changed (disentanglement) falls. The curve of both begins at accuracy 0 and
disentanglement 1; the score is the area under it. Our copy of the paper lacks some of its numbers: its table 3 shows
that areas are added up by trapezoids along the curve, that ways back count as negative, and that the score is the
largest sum.

What edits is handed in (--method): anything with the form of Manipulation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dnnlib.errors import UserError
from metrics.context import MetricContext
from metrics.registry import Values, metric

CHANGED = 0.5  # an attribute's score in [0, 1] has changed where it differs by more (ours: the paper's number is lost)


class Manipulation(Protocol):
    """A method that edits one attribute of pictures at a time."""

    @property
    def names(self) -> Sequence[str]:
        """Of all attributes that are scored."""
        ...

    @property
    def edited(self) -> Sequence[int]:
        """Which of them are edited in turn."""
        ...

    @property
    def about(self) -> dict[str, str]:
        """What a result records of it."""
        ...

    def scores(self, attribute: int, count: int, seed: int) -> list[Tensor]:
        """[N, K] in [0, 1], of `count` pictures before the edit, and then at rising strengths.

        Each picture is edited to the other side of 0.5 in its attribute, which it is clearly on one side of at first.
        """
        ...


@dataclass(frozen=True)
class Curve:
    """accuracy and disentanglement [T] at rising strengths, the start (0, 1) not included."""

    accuracy: np.ndarray
    disentanglement: np.ndarray

    @property
    def area(self) -> float:
        """The largest area that has come together along the way; 0 for a method that changes nothing."""
        return float(max(0.0, accumulated(self.accuracy, self.disentanglement).max(initial=0.0)))


def accumulated(accuracy: np.ndarray, disentanglement: np.ndarray) -> np.ndarray:
    """Areas [T] from the start (0, 1) to each point of a curve; steps back in accuracy take away."""
    a, d = np.concatenate([[0.0], accuracy]), np.concatenate([[1.0], disentanglement])
    return np.cumsum(np.diff(a) * (d[1:] + d[:-1]) / 2)


def curve_of(scores: Sequence[Tensor], attribute: int) -> Curve:
    """Of scores [N, K], first before the edit of `attribute` and then at rising strengths.

    Raises ValueError where there are fewer than two attributes: nothing else could change.
    """
    start = scores[0]
    if start.shape[1] < 2:
        raise ValueError("disentanglement is about two attributes at least")
    others = [index for index in range(start.shape[1]) if index != attribute]
    accuracy, disentanglement = [], []
    for now in scores[1:]:
        changed = (now - start).abs() > CHANGED
        to_target = changed[:, attribute] & ((now[:, attribute] > 0.5) != (start[:, attribute] > 0.5))
        accuracy.append(float(to_target.double().mean()))
        disentanglement.append(1 - float(changed[:, others].double().mean()))
    return Curve(np.array(accuracy), np.array(disentanglement))


@metric("mds", num=100, unit="edits", best="highest", needs="--method", reals=0)
def mds(context: MetricContext, num: int) -> Values:
    """Manipulation Disentanglement Score of --method: the mean, and that of each attribute (SGF, section 4.4.1)."""
    make = context.options.manipulation
    if make is None:
        raise UserError("metric 'mds' measures a method of editing; name one with --method")
    with torch.no_grad():
        manipulation: Manipulation = make(context.model)
        context.record.update(manipulation.about)
        curves = {
            index: curve_of(manipulation.scores(index, num, context.seed), index) for index in manipulation.edited
        }
    areas = {f"mds_{manipulation.names[index]}": curve.area for index, curve in curves.items()}
    return {"mds": float(np.mean(list(areas.values()))), **areas}
