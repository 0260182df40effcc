"""How near projector.py comes to pictures that a model made itself, with and without looking for centers.

    python -m experiments.projector --network=models/faces32.safetensors

The pictures are those of seeds 0, 1, ..., in 8 bits, as files have them; what is found is compared with them, its
centers with those that they were made with. Nothing of the search knows the seeds. Of each level is said, too, how
much of a picture hangs on one of its centers.
"""

from dataclasses import dataclass, replace

import click
import torch
from torch import Tensor
from tqdm import tqdm

from dnnlib.cli import PATH, Command, Int, option
from dnnlib.errors import UserError
from editing.inversion import InversionOptions, InversionStep, Space, invert
from metrics.centroid_co_move import DIRECTIONS
from training.layouts.layout import Layout
from training.sampling import Model, to_uint8

NEAR = 0.03  # rms of pixels in [-1, 1]
NEAR_CENTER = 0.1  # of x and y, each in [-1, 1]


@dataclass(frozen=True)
class Outcome:
    """Of N pictures: rms [N] at the end, the first step [N] whose rms is below NEAR (-1: none is), and the end."""

    rms: Tensor
    steps: Tensor
    last: InversionStep


def outcome(model: Model, target: Tensor, options: InversionOptions) -> Outcome:
    """Search for all pictures at the same time."""
    reached = torch.full([len(target)], -1)
    for step in tqdm(invert(model, target, options), total=options.steps + 1, disable=None):
        reached[(reached < 0) & (step.rms.cpu() < NEAR)] = step.step
    return Outcome(step.rms.cpu(), reached, step)


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
    near, steps = int((found.rms < NEAR).sum()), found.steps[found.steps >= 0]
    when = f"after {steps.median().item()} steps in the median" if len(steps) else "never"
    return f"{name}: {near} of {len(found.rms)} within {NEAR} ({when}); median rms {found.rms.median():.4f}"


@click.command(cls=Command, help=__doc__)
@option("--network", required=True, metavar="PATH", type=PATH, help="A model that is conditioned on layouts.")
@option("--pictures", type=Int(1, 1000), default=20, show_default=True, metavar="N", help="Seeds 0 to N - 1.")
@option("--space", type=click.Choice(["w", "w+"]), default="w+", show_default=True, help="As projector.py has it.")
@option("--num-steps", type=Int(1, 10_000), default=300, show_default=True, metavar="N", help="Of each search.")
def main(network: str, pictures: int, space: Space, num_steps: int) -> None:
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
    click.echo(said("without", outcome(model, target, replace(options, optimize_layout=False))))


if __name__ == "__main__":
    main()
