"""From pictures to what makes them: styles and, for models conditioned on layouts, centers and spreads.

    for step in invert(model, target): print(step.step, step.rms)
    model.images(ws=step.ws, layout=step.layout)            # what `python generate.py --latents --layout` shows, too

The start is the best of many random pictures. A small model is first searched by Levenberg-Marquardt steps from
several starts, one style for all layers (editing/second_order.py): they find what the model can make. Then Adam
descends on a pyramid of pixels and on features, with a learning rate that rises and falls, and with noise on the styles
that fades (Karras et al. 2020, appendix D): what the model cannot quite make. Styles and layout are found together, so
that an object that stands elsewhere is moved instead of painted anew. The model's own per-pixel noise stays as it is:
what is found makes the same picture everywhere.
"""

import itertools
import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from dnnlib.errors import UserError
from editing.candidates import Candidates, draw_candidates
from editing.observation import Observer, detached, with_gradients
from editing.random_features import RandomFeatureDistance
from editing.second_order import Approach
from editing.style_search import Places, Styles
from training.layouts.layout import Layout
from training.sampling import Model

Space = Literal["w", "w+"]
Start = tuple[Tensor, Layout | None]  # styles [N, *w_shape], and the layout where the model takes one
Distance = Callable[[Tensor, Tensor], Tensor]  # images a, b [N, C, R, R] about [-1, 1] -> [N], differentiable

RISE_PART, FALL_PART = 0.05, 0.5  # of the steps in which the learning rate rises, and falls
NOISE_PART = 0.75  # of the steps in which there is noise on the styles

DONE = 1 / 255  # rms at which nothing is left to look for: half a step of 8-bit pixels


@dataclass(frozen=True)
class InversionOptions:
    """How pictures are looked for.

    space: one style for all layers, or one each. steps: of all kinds, at most. optimize_layout: whether centers and
    spreads are looked for, too; otherwise they stay those of the start. second_order: Levenberg-Marquardt steps before
    the others, at most; None: half of all where the model is small, and none elsewhere. lr, layout_lr: Adam's, at
    their highest. candidates: random pictures that the start is the best of. pixel_weight, feature_weight: of the two
    parts of the loss. style_noise: in standard deviations of the styles, at the start.
    """

    space: Space = "w+"
    steps: int = 300
    optimize_layout: bool = True
    second_order: int | None = None
    lr: float = 0.05
    layout_lr: float = 0.02
    candidates: int = 256
    pixel_weight: float = 1.0
    feature_weight: float = 1.0
    style_noise: float = 0.05
    seed: int = 0

    def __post_init__(self):
        """Raises UserError for an unknown space or a number out of range."""
        if self.space not in get_args(Space):
            raise UserError(f"unknown space '{self.space}'; use {' or '.join(get_args(Space))}")
        if self.steps < 1 or self.candidates < 1:
            raise UserError("steps and candidates must be 1 or more")
        if self.second_order is not None and not 0 <= self.second_order <= self.steps:
            raise UserError(f"second_order must be 0 to {self.steps}, the number of all steps")


@dataclass(frozen=True)
class InversionStep:
    """Where a search is.

    step: 0 is the start. image [N, C, R, R], what ws [N, *w_shape] and layout make; loss [N]: what is
    minimized; rms [N]: root of the mean squared difference to the target, both as they are shown, within [-1, 1].
    """

    step: int
    image: Tensor
    ws: Tensor
    layout: Layout | None
    loss: Tensor
    rms: Tensor


def invert(
    model: Model,
    target: Tensor,
    options: InversionOptions | None = None,
    distance: Distance | None = None,
    start: Start | None = None,
    layout: Layout | None = None,
) -> Iterator[InversionStep]:
    """Look for what makes the pictures target [N, C, R, R] in [-1, 1]; the last step is the best found of each.

    That one has the number options.steps, also where nothing was left to look for before (DONE). distance: the second
    part of the loss; None: features of random convolutions (editing/random_features.py). start: styles and layout to
    begin with instead of the best of many. layout: one that all of these have instead of random ones. The consumer
    stops by closing the iterator.

    Raises UserError, at once, when the pictures do not fit the model.
    """
    options = options or InversionOptions()
    _check_target(model, target)
    distance = RandomFeatureDistance().to(model.device) if distance is None else distance
    search = _Search(model, target.to(model.device).float(), options, distance)
    return search.run(start, layout)


class _Search:
    """One search for a batch of pictures, each of which goes its own way."""

    def __init__(self, model: Model, target: Tensor, options: InversionOptions, distance: Distance):
        self.model, self.target, self.options, self.distance = model, target, options, distance
        self.observe = Observer(model)
        self.first, self.is_descending = 0, False  # the number of the descent's first step

    def run(self, start: Start | None, layout: Layout | None) -> Iterator[InversionStep]:
        best = None
        for step in self._steps(start, layout):
            best = step if best is None else _better(best, step, self.is_descending)
            is_done = self.is_descending and bool((best.rms < DONE).all())
            if is_done or step.step == self.options.steps:
                yield replace(best, step=self.options.steps)
                return
            yield step

    def _steps(self, start: Start | None, layout: Layout | None) -> Iterator[InversionStep]:
        """Where it is, from 0 to options.steps."""
        candidates = draw_candidates(self.model, self.options.candidates, self.options.seed, layout)
        if start is None:
            start = yield from self._approach(candidates)
        yield from self._descend(start, candidates.deviation)

    def _approach(self, candidates: Candidates) -> Generator[InversionStep, None, Start]:
        """Steps of second order where the model is small, numbered from 0; returns where they lead."""
        approach = Approach(self.model, self.target, candidates, self.options.optimize_layout)
        most = self.options.second_order
        if most is None:
            most = self.options.steps // 2 if approach.is_small else 0
        if most == 0:
            return candidates.nearest(self.target)
        for _ in itertools.islice(approach.steps(), most):
            yield self._seen(self.first, *approach.places())
            self.first += 1
        return approach.places()

    def _seen(self, number: int, ws: Tensor, layout: Layout | None) -> InversionStep:
        image = self.model.images(ws=ws, layout=layout)
        squared = shown_difference(image, self.target)
        return InversionStep(number, image, ws, layout, squared, squared.sqrt())

    def _descend(self, start: Start, deviation: Tensor) -> Iterator[InversionStep]:
        """Adam's steps from there, numbered on."""
        ws, layout = start
        self.is_descending = True
        with with_gradients():
            self.styles = Styles(ws.clone(), deviation, self.options.space == "w+")
            self.places = Places.at(layout) if layout is not None and self.options.optimize_layout else None
            self.layout = detached(layout)
            optimizer = self._optimizer()
        for number in range(self.first, self.options.steps + 1):
            with with_gradients():
                step = self._step(number, optimizer)
            yield step

    def _optimizer(self) -> torch.optim.Adam:
        groups = [{"params": self.styles.parameters, "highest": self.options.lr}]
        if self.places is not None:
            groups.append({"params": self.places.parameters, "highest": self.options.layout_lr})
        return torch.optim.Adam(groups, lr=self.options.lr, betas=(0.9, 0.99))

    def _step(self, number: int, optimizer: torch.optim.Optimizer) -> InversionStep:
        """Look at where it is, then take a step of descent from there."""
        progress = (number - self.first) / max(1, self.options.steps - self.first)
        layout = self.layout if self.places is None else self.places()
        seen = self.observe(self.styles(self._noise(number, progress)), layout)
        loss, squared = self._loss(seen.image)
        for group in optimizer.param_groups:
            group["lr"] = group["highest"] * ramp(progress)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        made = seen.image.detach(), seen.ws.detach(), detached(layout)
        return InversionStep(number, *made, loss.detach(), squared.detach().sqrt())

    def _loss(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """[N] to be minimized, and [N] mean squared differences of pixels."""
        pixels = torch.stack(pyramid(image - self.target)).mean(0)
        features = self.distance(image, self.target) if self.options.feature_weight > 0 else 0.0
        loss = self.options.pixel_weight * pixels + self.options.feature_weight * features
        return loss, shown_difference(image, self.target)

    def _noise(self, number: int, progress: float) -> Tensor | float:
        """The same for all pictures, so that none depends on those beside it; it has faded after three quarters."""
        scale = self.options.style_noise * max(0.0, 1 - progress / NOISE_PART) ** 2
        if scale == 0 or number == self.first:
            return 0.0
        stream = torch.Generator().manual_seed(self.options.seed * 2**20 + number)
        shape = [1, 1, *self.styles.start.shape[2:]]
        return scale * torch.randn(shape, generator=stream).to(self.target.device)


def ramp(progress: float) -> float:
    """The share of the highest learning rate at `progress` in [0, 1]: a short rise, then a half cosine down to 0."""
    rise = min(1.0, (progress + 1e-3) / RISE_PART)
    fall = min(1.0, (1 - progress) / FALL_PART)
    return rise * (0.5 - 0.5 * math.cos(math.pi * fall))


def shown_difference(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared differences [N] of pictures [N, C, R, R] as they are shown, within [-1, 1]."""
    return (a.clamp(-1, 1) - b.clamp(-1, 1)).square().mean((1, 2, 3))


def pyramid(difference: Tensor) -> list[Tensor]:
    """Mean squares [N] of pictures [N, C, R, R] at their size and at every half of it, down to 4 pixels."""
    squares = [difference.square().mean((1, 2, 3))]
    while difference.shape[2] > 4:
        difference = F.avg_pool2d(difference, 2)
        squares.append(difference.square().mean((1, 2, 3)))
    return squares


def _better(a: InversionStep, b: InversionStep, is_descending: bool) -> InversionStep:
    """Of each picture the step with the smaller rms; `b` says the number.

    In the descent a picture that is DONE stays: the freedom of W+ would make up the rounding of its pixels, no more.
    """
    where = (b.rms < a.rms) & ((a.rms >= DONE) | (not is_descending))

    def pick(old: Tensor, new: Tensor) -> Tensor:
        return torch.where(where.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    layout = b.layout
    if layout is not None and a.layout is not None:
        centers = tuple(map(pick, a.layout.centers, layout.centers))
        layout = replace(layout, centers=centers, spreads=tuple(map(pick, a.layout.spreads, layout.spreads)))
    image, ws = pick(a.image, b.image), pick(a.ws, b.ws)
    return InversionStep(b.step, image, ws, layout, pick(a.loss, b.loss), pick(a.rms, b.rms))


def _check_target(model: Model, target: Tensor) -> None:
    size = model.config.generator.img_resolution
    shape = [model.config.generator.img_channels, size, size]
    if target.ndim != 4 or list(target.shape[1:]) != shape or len(target) == 0:
        raise UserError(f"pictures must have the shape [N, {', '.join(map(str, shape))}], not {list(target.shape)}")
    if model.G.takes_layout_in_latent:
        raise UserError("this model hears its layout as a part of the latent; pictures cannot be projected to it")
    if not target.isfinite().all():
        raise UserError("some pixels are not finite numbers")
