"""Where G is busy: the mean over channels of its features (SpatialGAN, figure 14)."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from dnnlib.errors import UserError
from training.figures.attention import check_grown, square
from training.figures.cells import image_cells, map_cells, spread
from training.figures.subject import ModelUnderStudy
from training.figures.table import Group, Row, Table
from training.pictures.grids import all_levels_pictures

LARGEST_SHOWN = 64


def features_figure(subjects: Sequence[ModelUnderStudy], seeds: Sequence[int] = (0, 1, 2, 3)) -> Table:
    """Rows are seeds, one group a model. Columns: the image, its layout, the mean feature of every block up to 64x64.

    Raises UserError when the models make pictures of different sizes, or one has not grown so far yet.
    """
    sides = {subject.config.generator.img_resolution for subject in subjects}
    if len(sides) > 1:
        raise UserError(f"models of {min(sides)}x{min(sides)} and {max(sides)}x{max(sides)} pictures do not compare")
    shown = [2**k for k in range(2, min(*sides, LARGEST_SHOWN).bit_length())]
    has_layout = any(subject.model.is_layout_conditioned for subject in subjects)
    groups = [
        Group(_rows(subject, seeds, shown, has_layout), subject.name if len(subjects) > 1 else "")
        for subject in subjects
    ]
    return Table(
        "Mean features of the generator",
        ["image", *(["layout"] if has_layout else []), *map(square, shown)],
        groups,
        f"{' | '.join(subject.name for subject in subjects)}. Each block's output, averaged over channels and scaled "
        "to its own range. Crosses: centres, of levels 0, 1, 2 in white, blue, green.",
        ("lowest mean", "highest"),
    )


def mean_features(subject: ModelUnderStudy, seeds: Sequence[int]) -> tuple[Tensor, dict[int, Tensor]]:
    """Images [N, C, R, R] of seeds, and {r: the mean over channels of the features at r, [N, 1, r, r]}."""
    features: dict[int, Tensor] = {}
    images = subject.generated(seeds, block_outputs=features).images
    return images, {r: x.mean(1, keepdim=True) for r, x in features.items()}


def _rows(subject: ModelUnderStudy, seeds: Sequence[int], shown: Sequence[int], has_layout: bool) -> list[Row]:
    images, means = mean_features(subject, seeds)
    check_grown(shown, means)
    cells = image_cells(images)
    columns = [cells, *([_layout_column(subject, seeds, cells)] if has_layout else [])]
    columns += [map_cells(spread(means[r]), cells.shape[1]) for r in shown]
    return [Row(row, f"seed {seed}") for seed, row in zip(seeds, zip(*columns, strict=True), strict=True)]


def _layout_column(subject: ModelUnderStudy, seeds: Sequence[int], cells: np.ndarray) -> Sequence[np.ndarray | None]:
    if not subject.model.is_layout_conditioned:
        return [None] * len(seeds)
    return [*all_levels_pictures(subject.layout(seeds).to("cpu"), cells.shape[1])]
