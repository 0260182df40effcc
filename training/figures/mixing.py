"""Style mixing: pictures with the coarse, middle or fine styles of others (Karras et al. 2019, figure 3)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from dnnlib.errors import UserError
from training.figures.cells import image_cells
from training.figures.subject import ModelUnderStudy
from training.figures.table import Group, Row, Table

NAMES = ("coarse", "middle", "fine")


def mixing_figure(
    subject: ModelUnderStudy, sources: Sequence[int] = (0, 1, 2), others: Sequence[int] = (3, 4, 5, 6, 7)
) -> Table:
    """Rows are pictures of seeds `sources`, with the coarse, middle, then fine styles of the columns' seeds,
    `others`. A row keeps its layout and label.

    Raises UserError for a model without styles for each layer, or too small to have three kinds of them.
    """
    ranges = style_ranges(subject)
    own, copied = _styles(subject, sources), _styles(subject, others)
    heads = image_cells(subject.generated(others).images)
    first = image_cells(subject.generated(sources).images)
    groups = [Group([Row([None, *heads], "styles of")])]
    for name, chosen in zip(NAMES, ranges, strict=True):
        rows = [
            Row([first[i], *image_cells(_mixed(subject, seed, own[i : i + 1], copied, chosen))], f"seed {seed}")
            for i, seed in enumerate(sources)
        ]
        groups.append(Group(rows, f"{name} styles"))
    texts = [f"{name}: layers {r.start} to {r.stop - 1}" for name, r in zip(NAMES, ranges, strict=True)]
    return Table(
        "Style mixing",
        ["", *(f"seed {seed}" for seed in others)],
        groups,
        f"{subject.name}. Each picture is that on its left with some styles of the one at the top. {', '.join(texts)}.",
    )


def style_ranges(subject: ModelUnderStudy) -> list[range]:
    """The layers of coarse (up to 8x8), middle and fine styles; fine are those of 64x64 and above or, in small
    pictures, of the last resolution. A resolution has two layers.

    Raises UserError for a model without styles for each layer, or smaller than 16x16.
    """
    synthesis, count = subject.model.G.synthesis, subject.model.G.num_ws
    if count == 1:
        raise UserError(f"the backbone {subject.config.generator.backbone} has no styles to mix, but one latent")
    last = synthesis.resolutions[-1]
    if last < 16:
        raise UserError(f"pictures of {last}x{last} are too small to tell coarse, middle and fine styles apart")
    coarse = 4 if last == 16 else 8  # up to this resolution
    fine = min(64, last)  # from this one on
    bounds = [0, 2 * (coarse.bit_length() - 2), 2 * (fine.bit_length() - 3), count]
    return [range(a, b) for a, b in pairwise(bounds)]


def _styles(subject: ModelUnderStudy, seeds: Sequence[int]) -> Tensor:
    labels = subject.labels_in_turn(seeds)
    return subject.model.styles(seeds, labels=labels, truncation_psi=subject.truncation_psi)


def _mixed(subject: ModelUnderStudy, seed: int, own: Tensor, copied: Tensor, layers: range) -> Tensor:
    """Images [n, C, R, R] of ws `own` [1, num_ws, ...] with some layers of each of `copied` [n, num_ws, ...]."""
    ws = own.repeat(len(copied), *[1] * (own.ndim - 1))
    chosen = torch.tensor(list(layers), device=ws.device)
    ws[:, chosen] = copied[:, chosen]
    return subject.model.images([seed] * len(ws), ws=ws)
