"""Does G listen? Fixed latents under changing layouts, and the other way round (EqGAN-SA, figures 5 and 6)."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dnnlib.errors import UserError
from training.figures.cells import image_cells, map_cells, spread
from training.figures.subject import ModelUnderStudy
from training.figures.table import Group, Row, Table
from training.layouts.layout import Layout
from training.pictures.grids import all_levels_pictures, heatmap_pictures

STEPS = 7
REACH = 0.4  # how far to both sides a moved centre goes
CROSSES = "Crosses: centres, of levels 0, 1, 2 in white, blue, green; nothing is drawn into the pictures."
SCALE = ("heatmap: 0", "1")


def between(first: Layout, last: Layout, steps: int) -> Layout:
    """`steps` layouts from `first` to `last`, of one picture each; centres and spreads go in equal steps."""
    share = torch.linspace(0, 1, steps, device=first.centers[0].device)

    def mixed(a: Tensor, b: Tensor) -> Tensor:
        return torch.lerp(a, b, share.reshape(-1, *[1] * (a.ndim - 1)))

    centers = tuple(map(mixed, first.centers, last.centers))
    spreads = tuple(map(mixed, first.spreads, last.spreads))
    return replace(first.repeat(steps), centers=centers, spreads=spreads)


def interpolation_figure(
    subject: ModelUnderStudy, seeds: Sequence[int] = (0, 1, 2, 3), ends: tuple[int, int] = (2, 3), steps: int = STEPS
) -> Table:
    """One latent a row while its layout goes from that of seed ends[0] to that of seed ends[1].

    Raises UserError when the model takes no layout or `steps` is below 2.
    """
    _check_steps(steps)
    path = between(subject.layout([ends[0]]), subject.layout([ends[1]]), steps)
    rows = [Row(_pictures(subject, seed, path), f"latent {seed}") for seed in seeds]
    layouts = Row([*all_levels_pictures(path, rows[0].side)], "layout")
    return Table(
        "Fixed latents, layout interpolated",
        [f"{share:.2f}" for share in torch.linspace(0, 1, steps).tolist()],
        [Group([layouts]), Group(rows)],
        f"{subject.name}. From the layout of seed {ends[0]} (left) to that of seed {ends[1]} (right). {CROSSES}",
        SCALE,
    )


def moves_figure(subject: ModelUnderStudy, seed: int = 0, steps: int = STEPS) -> Table:
    """One latent while a centre moves: each of level 0 across and down, then the first of levels 1 and 2 across.

    The last column is the mean absolute change over the row. Raises UserError when the model takes no layout or
    `steps` is below 2.
    """
    _check_steps(steps)
    start = subject.layout([seed])
    across, down = (1.0, 0.0), (0.0, 1.0)
    moves = [(0, index, way) for index in range(start.counts[0]) for way in (across, down)]
    moves += [(level, 0, across) for level in range(1, len(start.counts))]
    groups = [_moved_group(subject, seed, start, move, steps) for move in moves]
    return Table(
        "One latent, one centre moved at a time",
        [*(f"{offset + 1e-6:+.2f}".replace("-", "−") for offset in _way(steps).tolist()), "change"],
        groups,
        f"{subject.name}, seed {seed}. Above each strip, the heatmap of the moved level with the commanded centres: "
        f"{_moved_about(start)} Change: "
        "mean absolute difference of neighbouring pictures in the strip, scaled to its own range.",
        SCALE,
    )


def _moved_about(start: Layout) -> str:
    if start.counts[0] > 1:
        return "each about its own place."
    return "level 0 about the image's middle, taking levels 1 and 2 along, the others about their own place."


def grid_figure(
    subject: ModelUnderStudy, seeds: Sequence[int] = (0, 1, 2, 3, 4, 5), layout_seeds: Sequence[int] = (0, 1, 2, 3, 4)
) -> Table:
    """Rows share a layout, columns a latent. Raises UserError when the model takes no layout."""
    layouts = subject.layout(layout_seeds)
    rows = []
    for n, seed in enumerate(layout_seeds):
        cells = image_cells(subject.generated(seeds, layout=layouts[[n]]).images)
        shown = all_levels_pictures(layouts[[n]], cells.shape[1])
        rows.append(Row([*shown, *cells], f"layout {seed}"))
    return Table(
        "The same layout with other latents, the same latent with other layouts",
        ["layout", *(f"latent {seed}" for seed in seeds)],
        [Group(rows)],
        f"{subject.name}. A row shares its layout, a column its latent. {CROSSES}",
        SCALE,
    )


def _moved_group(
    subject: ModelUnderStudy, seed: int, start: Layout, move: tuple[int, int, tuple[float, float]], steps: int
) -> Group:
    """Heatmaps above pictures, and how much the pictures change."""
    level, index, (across, down) = move
    way = _way(steps)
    path = _in_the_middle(start, level, index).repeat(steps).moved(level, index, way * across, way * down)
    images = subject.generated([seed] * steps, layout=path).images
    cells = image_cells(images)
    heat = heatmap_pictures(path, level, cells.shape[1])
    change = images.diff(dim=0).abs().mean((0, 1))[None, None]
    name = f"level {level}" + (f", centre {index}" if start.counts[level] > 1 else "")
    label = f"{name}\n{'left to right' if across else 'top to bottom'}"
    return Group([Row([*heat], "heatmap"), Row([*cells, *map_cells(spread(change), cells.shape[1])], "image")], label)


def _in_the_middle(start: Layout, level: int, index: int) -> Layout:
    """The layout to move a centre of: with that of level 0 in the image's middle or, where there are several, which
    would meet there, as near to the border as it can be and still make the move."""
    if level > 0:
        return start
    here = start.centers[0][0, index]
    there = torch.zeros_like(here) if start.counts[0] == 1 else here.clamp(REACH - 1, 1 - REACH)
    return start.moved(0, index, *(there - here).tolist())


def _way(steps: int) -> Tensor:
    return torch.linspace(-REACH, REACH, steps)


def _pictures(subject: ModelUnderStudy, seed: int, path: Layout) -> list:
    return [*image_cells(subject.generated([seed] * len(path), layout=path).images)]


def _check_steps(steps: int) -> None:
    if steps < 2:
        raise UserError(f"a strip of {steps} picture shows no change; use 2 steps or more")
