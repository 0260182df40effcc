"""Style mixing: pictures with the coarse, middle or fine styles of others (Karras et al. 2019, figure 3)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from training.figures.cells import image_cells
from training.figures.subject import ModelUnderStudy
from training.figures.table import Group, Row, Table
from training.networks.style_layers import style_kinds


def mixing_figure(
    subject: ModelUnderStudy, sources: Sequence[int] = (0, 1, 2), others: Sequence[int] = (3, 4, 5, 6, 7)
) -> Table:
    """Rows are pictures of seeds `sources`, with the coarse, middle, then fine styles of the columns' seeds,
    `others`. A row keeps its layout and label.

    Raises UserError for a model without styles for each layer, or too small to have three kinds of them.
    """
    kinds = style_kinds(subject.model.G)
    own, copied = _styles(subject, sources), _styles(subject, others)
    heads = image_cells(subject.generated(others).images)
    first = image_cells(subject.generated(sources).images)
    groups = [Group([Row([None, *heads], "styles of")])]
    for name, chosen in kinds.items():
        rows = [
            Row([first[i], *image_cells(_mixed(subject, seed, own[i : i + 1], copied, chosen))], f"seed {seed}")
            for i, seed in enumerate(sources)
        ]
        groups.append(Group(rows, f"{name} styles"))
    texts = [f"{name}: layers {r.start} to {r.stop - 1}" for name, r in kinds.items()]
    return Table(
        "Style mixing",
        ["", *(f"seed {seed}" for seed in others)],
        groups,
        f"{subject.name}. Each picture is that on its left with some styles of the one at the top. {', '.join(texts)}.",
    )


def _styles(subject: ModelUnderStudy, seeds: Sequence[int]) -> Tensor:
    labels = subject.labels_in_turn(seeds)
    return subject.model.styles(seeds, labels=labels, truncation_psi=subject.truncation_psi)


def _mixed(subject: ModelUnderStudy, seed: int, own: Tensor, copied: Tensor, layers: range) -> Tensor:
    """Images [n, C, R, R] of ws `own` [1, num_ws, ...] with some layers of each of `copied` [n, num_ws, ...]."""
    ws = own.repeat(len(copied), *[1] * (own.ndim - 1))
    chosen = torch.tensor(list(layers), device=ws.device)
    ws[:, chosen] = copied[:, chosen]
    return subject.model.images([seed] * len(ws), ws=ws)
