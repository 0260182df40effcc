"""Direct optimisation of the latent, the baseline of paper 004 (appendix A): Adam on the difference of conditions.

It needs a condition that can be differentiated, and the generator's gradients in every step.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

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
)
from editing.latent.walking import Walk, WalkOptions
from editing.observation import leaf, with_gradients

FAR = 10.0  # deviations; a difference of more pulls no harder


@dataclass(frozen=True)
class OptimizationOptions:
    """lr: Adam's, in deviations of the latents. keep: weight of entries that do not count, against those that do."""

    lr: float = 0.05
    keep: float = 1.0
    walk: WalkOptions = field(default_factory=WalkOptions)


class Optimization(Method):
    """Gradients of the squared difference to the target's condition, in its deviations, with regard to the latent."""

    name = "optimization"

    def __init__(self, subject: Subject, scale: Tensor, deviation: float, options: OptimizationOptions | None = None):
        self.subject, self.scale, self.deviation = subject, scale, deviation
        self.options = options or OptimizationOptions()

    @classmethod
    def fit(cls, subject: Subject, pairs: Pairs, options: OptimizationOptions | None = None) -> Self:
        """Nothing is learnt but the scales of latents and conditions."""
        deviation = (pairs.values - pairs.values.mean(0)).square().mean().sqrt()
        return cls(subject, pairs.deviations, float(deviation), options)

    def path(self, points: Points, wish: Wish) -> Iterator[Step]:
        yield from self._walk(points, wish).steps()

    def edit(self, points: Points, wish: Wish, watch: Watch = unwatched) -> Edit:
        return self._walk(points, wish).edit(watch)

    def _walk(self, points: Points, wish: Wish) -> Walk:
        if isinstance(wish, Strength):
            raise UserError("optimisation goes to a target, not by a strength")
        descent = _Descent(self, points)
        return Walk(self.subject, points, wish, descent.advance, self.options.walk)


class _Descent:
    """Adam on N latents, of which some may have ended: those have no gradient, and nobody looks where they go."""

    def __init__(self, method: Optimization, points: Points):
        self.method, self.points, self.latents = method, points, leaf(points.values)
        self.adam = torch.optim.Adam([self.latents], lr=method.options.lr * method.deviation)

    def advance(self, values: Tensor, condition: Tensor, start: Tensor, target: Target, rows: Tensor) -> Tensor:
        self.latents.grad = torch.zeros_like(self.latents)
        self.latents.grad[rows] = self._gradient(values, target, rows)
        self.adam.step()
        return self.latents.detach()[rows]

    def _gradient(self, values: Tensor, target: Target, rows: Tensor) -> Tensor:
        counts = torch.full_like(self.method.scale, self.method.options.keep)
        counts[list(target.of)] = 1.0
        with with_gradients():
            values = leaf(values)
            seen = self.method.subject.measure(self.points[rows].at(values), with_gradients=True)
            if not seen.requires_grad:
                raise UserError("this condition has no gradients (ONNX files have none); use another method")
            scale, now = self.method.scale, seen.detach()
            pull = ((target.values - now) / scale).clamp(-FAR, FAR)
            loss = (((seen - now) / scale - pull).square() * counts).sum()
            return torch.autograd.grad(loss, values)[0]
