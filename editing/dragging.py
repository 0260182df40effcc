"""Points of a picture pulled to where they should be: DragGAN (Pan et al. 2023), and with heatmaps (SpatialGAN, 3.4).

    for step in drag(model, model.styles([7]), model.layout([7]), [((0.1, 0.0), (0.5, 0.0))]):
        print(step.distances)                                            # in pixels; close the iterator to stop

"latent" changes the styles of the layers up to the feature map only; "alternate" changes styles and centers in turn;
"hybrid" moves the centers near the points first, which needs no gradients, then goes on as "alternate" does.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from dnnlib.errors import UserError
from editing.centers import Response, descended, moved_towards
from editing.observation import Observation, Observer, detached, leaf, leaf_centers, with_gradients
from editing.point_tracking import (
    PAPER_RESOLUTION,
    disc,
    mask_loss,
    motion_loss,
    sample_features,
    square,
    step_towards,
    track,
)
from editing.registration import pixel_size, registration_of_model
from training.config import Registration
from training.layouts.layout import Layout, check_counts
from training.layouts.registration import resize
from training.networks.synthesis import NoiseMode
from training.sampling import Model

DragMode = Literal["latent", "alternate", "hybrid"]
Points = Sequence[tuple[tuple[float, float], tuple[float, float]]]

REACHED, NO_PROGRESS, STEP_LIMIT = "reached", "no progress for {} steps", "step limit"
PROGRESS = 0.05  # pixels by which the mean distance has to shrink to count as progress
POINTS_LIMIT = 64
LEAST_R1 = 1.5  # pixels; below, there is too little in the disc to tell where it is pulled to
JUMP_WINDOWS = 5  # tracked along the way of a jump
COARSE_MISSES = 2  # jumps taken back that end the coarse stage


@dataclass(frozen=True)
class DragOptions:
    """How points are dragged.

    mode: what is changed. max_steps: gradient steps at most. lr: Adam's, of the styles. center_step: how far a center
    goes in one gradient step at most, in coordinates from -1 to 1. r1, r2: radii in pixels of motion supervision and of
    tracking, for pictures of 256 pixels and more; smaller ones scale them. feature_resolution: of the map that is
    looked at; None: see default_feature_resolution. mask_weight: DragGAN's lambda. tolerance: pixels within which a
    point has arrived. patience: gradient steps without progress that end it. coarse_radius, coarse_alpha: r and alpha
    of SpatialGAN's equation 6; coarse_moves: how often it is applied at most.
    """

    mode: DragMode = "hybrid"
    max_steps: int = 200
    lr: float = 2e-3
    center_step: float = 0.02
    r1: float = 3.0
    r2: float = 12.0
    feature_resolution: int | None = None
    mask_weight: float = 20.0
    tolerance: float = 1.0
    patience: int = 20
    coarse_radius: float = 0.5
    coarse_alpha: float = 1.0
    coarse_moves: int = 6

    def __post_init__(self):
        """Raises UserError for an unknown mode or a number out of range."""
        if self.mode not in get_args(DragMode):
            raise UserError(f"unknown mode '{self.mode}' of dragging; use {', '.join(get_args(DragMode))}")
        for name in ("lr", "center_step", "r1", "r2", "tolerance", "coarse_radius"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UserError(f"{name} is {getattr(self, name):g}; it must be a positive number")
        for name in ("max_steps", "patience"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be 1 or more")


@dataclass(frozen=True)
class DragStep:
    """Where a drag is.

    step: 0 is the picture as it was. image [1, C, R, R] about [-1, 1]; ws [1, *w_shape] and layout make exactly it.
    points: where the handle points are now, (x, y) in [-1, 1]; distances: of each to its target, in pixels. reason:
    why it is done, "reached", "no progress for N steps" or "step limit".
    """

    step: int
    image: Tensor
    ws: Tensor
    layout: Layout | None
    points: list[tuple[float, float]]
    distances: list[float]
    done: bool = False
    reason: str | None = None

    @property
    def mean_distance(self) -> float:
        """In pixels."""
        return sum(self.distances) / len(self.distances)


def drag(
    model: Model,
    ws: Tensor,
    layout: Layout | None,
    points: Points,
    mask: Tensor | None = None,
    options: DragOptions | None = None,
    noise_mode: NoiseMode = "const",
    noise_seed: int = 0,
) -> Iterator[DragStep]:
    """Pull points of one picture to their targets, step by step; the last step has `done`.

    ws [1, *w_shape]; layout of one picture, None for a model without. points: (from, to) in [-1, 1]. mask [r, r]: 1
    where the picture may change, of any size. noise_seed: for noise_mode "random". The consumer stops by closing the
    iterator. When no progress or the step limit ends it, the last step is the nearest one that was seen.

    Raises UserError, at once, when something does not fit the model or is out of range.
    """
    options = options or DragOptions()
    _check(model, ws, layout, points, mask, options)
    resolution = options.feature_resolution or default_feature_resolution(model)
    observer = Observer(model, resolution, noise_mode, noise_seed)
    fitted = None if mask is None else _fitted(mask.to(model.device), resolution, registration_of_model(model))
    return _Drag(observer, options, points, fitted).run(ws.to(model.device), layout)


def _fitted(mask: Tensor, resolution: int, registration: Registration) -> Tensor:
    """A mask [r, r] at the resolution of the features."""
    return resize(mask[None, None].float().clamp(0, 1), resolution, registration)[0, 0]


def default_feature_resolution(model: Model) -> int:
    """Half of the picture's, 256 at most, as DragGAN has it for pictures of 512 and more."""
    wanted = min(model.config.generator.img_resolution // 2, 256)
    return max(r for r in model.G.synthesis.resolutions if r <= max(wanted, 4))


class _Drag:
    """One drag: what does not change from step to step, and the loop (`run`)."""

    def __init__(self, observer: Observer, options: DragOptions, points: Points, mask: Tensor | None):
        self.observe, self.options = observer, options
        side = observer.model.config.generator.img_resolution
        self.registration = registration_of_model(observer.model)
        self.pixel = pixel_size(side, self.registration)
        self.unit = self.pixel * min(1.0, side / PAPER_RESOLUTION)  # of r1, r2 and the grids that they span
        ends = torch.tensor(points, dtype=torch.float32, device=observer.model.device)  # [P, 2, 2]
        self.starts, self.targets = ends[:, 0], ends[:, 1]
        self.disc = disc(max(options.r1 * self.unit, LEAST_R1 * self.pixel), self.pixel / 2, ends)
        self.window = square(options.r2 * self.unit, self.unit, ends)
        self.mask = mask

    def run(self, ws: Tensor, layout: Layout | None) -> Iterator[DragStep]:
        with with_gradients():
            seen = self.observe(leaf(ws), leaf_centers(layout))
            self.first = seen.features.detach()  # F_0
            self.references = sample_features(self.first, self.starts, self.registration)  # [P, C]
            step = self._step(0, seen, self.starts)
        yield step
        if self.options.mode == "hybrid" and not step.done:
            seen, step = yield from self._jumps(seen, step)
        if not step.done:
            yield from self._descend(seen, step)

    def _jumps(self, seen: Observation, step: DragStep) -> Generator[DragStep, None, tuple[Observation, DragStep]]:
        """The coarse stage: the centers go where the points are to go, as long as that brings them nearer.

        Objects go farther or less far than their centers: each jump, also one that is taken back, teaches the next.
        """
        how = self.options.coarse_radius, self.options.coarse_alpha
        response, misses = Response(self.targets), 0
        for _ in range(self.options.coarse_moves):
            with with_gradients():
                points = torch.tensor(step.points, device=self.targets.device)
                before, ways = detached(seen.layout), response.asked(self.targets - points)
                layout = None if before is None else moved_towards(before, points, points + ways, *how)
                if layout is None:
                    break
                after = self.observe(seen.ws, leaf_centers(layout))
                new = self._step(step.step + 1, after, self._found(after, self._along(points)))
            response.learn(ways, torch.tensor(new.points, device=points.device) - points, self.pixel)
            if new.mean_distance > step.mean_distance - PROGRESS:
                step, misses = replace(step, step=new.step), misses + 1  # back to where it was
            else:
                seen, step = after, new
            yield step
            if step.done or misses == COARSE_MISSES:
                break
        return seen, step

    def _descend(self, seen: Observation, step: DragStep) -> Iterator[DragStep]:
        """The fine stage, that of DragGAN."""
        optimizer = torch.optim.Adam([seen.ws], lr=self.options.lr)
        nearest, idle = step, 0
        for number in range(self.options.max_steps):
            with with_gradients():
                layout = self._improve(seen, step, optimizer, number)
                seen = self.observe(seen.ws, leaf_centers(layout))
                step = self._step(step.step + 1, seen, self._found(seen, self._around(step.points)))
            idle += 1
            if step.done or nearest.mean_distance - step.mean_distance > PROGRESS:
                nearest, idle = step, 0
            if not step.done and idle == self.options.patience:
                step = _ended(nearest, step.step, NO_PROGRESS.format(idle))
            if not step.done and number + 1 == self.options.max_steps:
                step = _ended(nearest, step.step, STEP_LIMIT)
            yield step
            if step.done:
                return

    def _improve(
        self, seen: Observation, step: DragStep, optimizer: torch.optim.Optimizer, number: int
    ) -> Layout | None:
        """One step on the styles or, every second one unless the mode is "latent", on the centers; the new layout."""
        points, layout = torch.tensor(step.points, device=self.targets.device), detached(seen.layout)
        loss = self._loss(seen.features, points)
        if layout is None or self.options.mode == "latent" or number % 2 == 0:
            (seen.ws.grad,) = torch.autograd.grad(loss, [seen.ws])
            optimizer.step()
            return layout
        gradients = torch.autograd.grad(loss, seen.centers, allow_unused=True)
        farthest = (self.targets - points).norm(dim=-1).max().item()
        return descended(layout, gradients, min(self.options.center_step, farthest))

    def _loss(self, features: Tensor, points: Tensor) -> Tensor:
        """DragGAN's equation 1."""
        ahead = step_towards(points, self.targets, self.pixel)
        loss = motion_loss(features, points, ahead, self.disc, self.registration)
        if self.mask is None:
            return loss
        return loss + self.options.mask_weight * mask_loss(features, self.first, self.mask)

    def _around(self, points: list[tuple[float, float]]) -> Tensor:
        """Where points may be after a gradient step: the square of radius r2 around each, [P, K, 2]."""
        return torch.tensor(points, device=self.targets.device)[:, None] + self.window

    def _along(self, points: Tensor) -> Tensor:
        """Where points may be after a jump: such squares all along the way to the target, [P, K, 2]."""
        shares = torch.linspace(0, 1, JUMP_WINDOWS, device=points.device)[:, None]
        middles = torch.lerp(points[:, None], self.targets[:, None], shares)  # [P, JUMP_WINDOWS, 2]
        return (middles[:, :, None] + self.window).flatten(1, 2)

    def _found(self, seen: Observation, candidates: Tensor) -> Tensor:
        """Handle points [P, 2], inside the picture."""
        return track(seen.features.detach(), self.references, candidates.clamp(-1, 1), self.registration)

    def _step(self, number: int, seen: Observation, points: Tensor) -> DragStep:
        distances = ((points - self.targets).norm(dim=-1) / self.pixel).tolist()
        done = max(distances) < self.options.tolerance
        places = [(x, y) for x, y in points.tolist()]
        picture = seen.image.detach(), seen.ws.detach().clone(), detached(seen.layout)
        return DragStep(number, *picture, places, distances, done, REACHED if done else None)


def _ended(nearest: DragStep, number: int, reason: str) -> DragStep:
    return replace(nearest, step=number, done=True, reason=reason)


def _check(
    model: Model, ws: Tensor, layout: Layout | None, points: Points, mask: Tensor | None, options: DragOptions
) -> None:
    if list(ws.shape) != [1, *model.G.w_shape]:
        raise UserError(f"ws must have the shape {[1, *model.G.w_shape]} for this model, not {list(ws.shape)}")
    encoding = model.config.generator.encoding
    if (layout is None) != (encoding is None):
        raise UserError(f"this model {'takes no' if encoding is None else 'needs a'} layout")
    if layout is not None and encoding is not None:
        check_counts(layout, encoding.counts)
        if len(layout) != 1:
            raise UserError(f"one picture is dragged at a time, but there are {len(layout)} layouts")
    _check_mode(model, options)
    check_points(points)
    if mask is not None and (mask.ndim != 2 or mask.shape[0] != mask.shape[1]):
        raise UserError(f"the mask must be a square [r, r], not {list(mask.shape)}")


def _check_mode(model: Model, options: DragOptions) -> None:
    if options.mode != "latent" and (not model.is_layout_conditioned or model.G.takes_layout_in_latent):
        raise UserError(f"mode '{options.mode}' moves centers of heatmaps, which this model has none of; use 'latent'")
    sizes = model.G.synthesis.resolutions
    if options.feature_resolution is not None and options.feature_resolution not in sizes:
        raise UserError(f"no features of {options.feature_resolution}; this model has {', '.join(map(str, sizes))}")


def check_points(points: Points) -> None:
    """Raises UserError unless there are 1 to POINTS_LIMIT points, all in the picture."""
    if not 1 <= len(points) <= POINTS_LIMIT:
        raise UserError(f"{len(points)} points to drag; give 1 to {POINTS_LIMIT}")
    for number, ends in enumerate(points):
        for x, y in ends:
            if not (abs(x) <= 1 and abs(y) <= 1):
                raise UserError(f"point {number} at ({x:g}, {y:g}) is outside [-1, 1], the borders of the picture")
