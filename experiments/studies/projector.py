"""How `experiments.projector` does it."""

import time
from dataclasses import dataclass, replace

import click
import torch
from torch import Tensor
from tqdm import tqdm

from dnnlib.errors import UserError
from dnnlib.words import counted
from editing.inversion import InversionOptions, InversionStep, Space, invert
from metrics.centroid_co_move import DIRECTIONS
from training.layouts.layout import Layout
from training.sampling import Model, to_uint8

NEAR = 0.03  # rms of pixels in [-1, 1]
NEAR_CENTER = 0.1  # of x and y, each in [-1, 1]


@dataclass(frozen=True)
class Outcome:
    """Of N pictures: rms [T, N] of every step that was taken, and the last one, which is the best of each picture."""

    rms: Tensor
    last: InversionStep
    seconds: float

    def steps_until(self, rms: Tensor | float) -> Tensor:
        """The first step [N] whose rms is at most `rms`, a number or [N]; -1 where none is."""
        is_near = self.rms <= rms
        return torch.where(is_near.any(0), is_near.int().argmax(0), -1)


def outcome(model: Model, target: Tensor, options: InversionOptions) -> Outcome:
    """Search for all pictures at the same time."""
    begun, rms = time.perf_counter(), []
    for step in tqdm(invert(model, target, options), total=options.steps + 1, disable=None):
        rms.append(step.rms.cpu())
    return Outcome(torch.stack(rms), step, time.perf_counter() - begun)


def as_files(images: Tensor) -> Tensor:
    """Pictures with 256 values, as they come back from a file."""
    return to_uint8(images).float() / 127.5 - 1


def center_errors(true: Layout, found: Layout) -> list[Tensor]:
    """For each level the largest difference of a center's x or y, [N]."""
    pairs = zip(found.centers, true.centers, strict=True)
    return [(a - b).abs().amax((1, 2)).cpu() for a, b in pairs]


def effects(model: Model, seeds: list[int], layout: Layout) -> list[Tensor]:
    """For each level the rms by which pictures change when one center moves by NEAR_CENTER to a side, [4 n N]."""
    ws = model.styles(seeds, layout=layout)

    def shown(places: Layout) -> Tensor:
        return model.images(seeds, ws=ws, layout=places).clamp(-1, 1)

    before, found = shown(layout), []
    for level, count in enumerate(layout.counts):
        moved = [_moved(layout, level, index, way) for index in range(count) for way in DIRECTIONS]
        found.append(torch.cat([(shown(each) - before).square().mean((1, 2, 3)).sqrt() for each in moved]).cpu())
    return found


def _moved(layout: Layout, level: int, index: int, way: tuple[float, float]) -> Layout:
    """One center alone, also of level 0, which takes others along in Layout.moved."""
    centers = [each.clone() for each in layout.centers]
    centers[level][:, index] += NEAR_CENTER * centers[level].new_tensor(way)
    return replace(layout, centers=tuple(centers))


def said(name: str, found: Outcome) -> str:
    reached, rms = found.steps_until(NEAR), found.last.rms.cpu()
    steps = reached[reached >= 0]
    when = f"after {steps.median().item()} steps in the median" if len(steps) else "never"
    near = f"{len(steps)} of {len(rms)} within {NEAR} ({when})"
    return f"{name}: {near}; median rms {rms.median():.4f}; {found.seconds:.0f} s"


def compared(free: Outcome, fixed: Outcome) -> str:
    """The steps of both on the same pictures: those that both find, and all, until as near as `fixed` comes at all."""
    lines, nearest = [], fixed.last.rms.cpu()
    for name, rms in ((f"within {NEAR}", NEAR), ("as near as without comes", nearest)):
        steps = torch.stack([each.steps_until(rms) for each in (free, fixed)])
        steps = steps[:, (steps >= 0).all(0)]
        lines.append(f"{name}, {counted(steps.shape[1], 'picture')} by both")
        if steps.shape[1]:
            (a, b), fewer = steps.median(1).values.tolist(), int((steps[0] < steps[1]).sum())
            medians = f": after {a} with centers, {b} without, in the median of steps"
            lines[-1] += f"{medians}; fewer with centers for {fewer}"
    return "\n".join(lines)


def study(network: str, pictures: int, space: Space, num_steps: int) -> None:
    """What the command of this name does."""
    model, seeds = Model.load(network), list(range(pictures))
    true = model.layout(seeds)
    if true is None:
        raise UserError(f"{network}: this model takes no layout, so there are no centers to look for")
    target = as_files(model.images(seeds))
    options = InversionOptions(space, num_steps)
    free = outcome(model, target, options)
    assert free.last.layout is not None  # that of a model which takes one
    click.echo(said("with centers", free))
    errors_and_effects = zip(center_errors(true, free.last.layout), effects(model, seeds, true), strict=True)
    for level, (errors, changes) in enumerate(errors_and_effects):
        near = int((errors < NEAR_CENTER).sum())
        click.echo(
            f"  level {level}: centers of {near} within {NEAR_CENTER}, median error {errors.median():.3f}; moved so "
            f"far, one changes the picture by {changes.median():.4f} rms ({changes.min():.4f} to {changes.max():.4f})"
        )
    fixed = outcome(model, target, replace(options, optimize_layout=False))
    click.echo(said("without", fixed))
    click.echo(compared(free, fixed))
