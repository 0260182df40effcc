"""Is D's attention robust to noise and to bad samples, and consistent over training? (EqGAN-SA, figure 7.)"""

import math
from collections.abc import Sequence

import torch

from dnnlib.errors import UserError
from training.config import AlignConfig
from training.figures.attention import (
    SCALE,
    attention,
    chosen_resolutions,
    describe,
    gradcam_config,
    square,
)
from training.figures.cells import correlation, correlation_notes, image_cells, overlay_cells
from training.figures.subject import ImagesWithLabels, ModelUnderStudy, discriminator_of, kimg_text, over_training
from training.figures.table import Group, Row, Table
from training.networks.backbones import DiscriminatorNetwork
from training.runs.snapshot import Snapshot
from training.sampling import Model

AMPLITUDES = (0.0, 0.1, 0.2, 0.4, 0.8)  # of the noise; images span [-1, 1]
STEPS = 6  # snapshots shown


def noise_figure(
    subject: ModelUnderStudy,
    count: int = 2,
    seed: int = 0,
    amplitudes: Sequence[float] = AMPLITUDES,
    level: int | None = None,
    gradcam: str = "run",
) -> Table:
    """Real images under Gaussian noise, and D's attention at every level (or at `level`) below them.

    Columns are standard deviations; the numbers are correlations with the first column's map. `seed` chooses the
    images and draws the noise, which is the same pattern at every amplitude.
    """
    for amplitude in amplitudes:
        if not 0 <= amplitude < math.inf:
            raise UserError(f"noise of amplitude {amplitude:g} cannot be; use 0 or more")
    config, resolutions = gradcam_config(subject, gradcam), chosen_resolutions(subject.config.discriminator, level)
    clean, labels = subject.real(count, seed)
    stream = torch.Generator().manual_seed(seed)
    pattern = torch.randn(clean.shape, generator=stream).to(clean.device)
    noisy = [ImagesWithLabels((clean + amplitude * pattern).clamp(-1, 1), labels) for amplitude in amplitudes]
    groups = _groups_by_picture(subject.D, noisy, config, resolutions, [f"real {n + 1}" for n in range(count)])
    return Table(
        "Robustness of the discriminator's attention to noise",
        [f"σ = {amplitude:g}" for amplitude in amplitudes],
        groups,
        f"{subject.name}. Gaussian noise of standard deviation σ on images in [-1, 1]. {describe(config)}. "
        f"r: correlation with the map at σ = {amplitudes[0]:g}.",
        SCALE,
    )


def bad_samples_figure(
    subject: ModelUnderStudy,
    seeds: Sequence[int] = (0, 1),
    steps: int = STEPS,
    level: int | None = None,
    gradcam: str = "run",
) -> Table:
    """What the final D sees in pictures of the same seeds by younger generators. Columns are snapshots.

    Raises UserError when the run has one snapshot only.
    """
    config, resolutions = gradcam_config(subject, gradcam), chosen_resolutions(subject.config.discriminator, level)
    snapshots = over_training(subject.run_dir, subject.kimg, steps)
    younger = [_pictures_of(subject, one, seeds) for one in snapshots]
    labels = [f"seed {seed}" for seed in seeds]
    return Table(
        "The discriminator's attention to bad samples",
        [kimg_text(one.kimg) for one in snapshots],
        _groups_by_picture(subject.D, younger, config, resolutions, labels, with_notes=False),
        f"{subject.name}. The same latents{' and layouts' if subject.model.is_layout_conditioned else ''} through "
        f"generators of increasing age (columns), all scored by D at {kimg_text(subject.kimg)}. {describe(config)}.",
        SCALE,
    )


def consistency_figure(
    subject: ModelUnderStudy,
    count: int = 2,
    seed: int = 0,
    seeds: Sequence[int] = (0,),
    steps: int = STEPS,
    level: int | None = None,
    gradcam: str = "run",
) -> Table:
    """The attention of D at several ages, over the same `count` real images and generated ones of `seeds`.

    The numbers are correlations with the last column's map. Raises UserError when the run has one snapshot only.
    """
    config, resolutions = gradcam_config(subject, gradcam), chosen_resolutions(subject.config.discriminator, level)
    snapshots = over_training(subject.run_dir, subject.kimg, steps)
    shown = {"real": subject.real(count, seed), "generated": subject.generated(seeds)}
    ages = [discriminator_of(one, subject.model.device) for one in snapshots]
    groups = []
    for r in resolutions:
        rows = [row for kind, seen in shown.items() for row in _rows_by_age(ages, kind, seen, config, r)]
        groups.append(Group(rows, square(r)))
    return Table(
        "Consistency of the discriminator's attention over training",
        ["image", *(kimg_text(one.kimg) for one in snapshots)],
        groups,
        f"{subject.name}. The same images scored by D at several ages. {describe(config)}. r: correlation with the "
        f"map at {kimg_text(snapshots[-1].kimg)}.",
        SCALE,
    )


def _rows_by_age(
    ages: Sequence[DiscriminatorNetwork], kind: str, seen: ImagesWithLabels, config: AlignConfig, resolution: int
) -> list[Row]:
    """One row a picture: the image, and its map by each D."""
    maps = [attention(D, seen, config, [resolution])[resolution] for D in ages]
    columns = [image_cells(seen.images), *(overlay_cells(one, seen.images) for one in maps)]
    notes = [correlation_notes(correlation(one, maps[-1])) for one in maps]
    by_row = zip(*columns, strict=True), zip(*notes, strict=True)
    return [Row(cells, kind, ["", *words]) for cells, words in zip(*by_row, strict=True)]


def _groups_by_picture(
    D: DiscriminatorNetwork,
    columns: Sequence[ImagesWithLabels],
    config: AlignConfig,
    resolutions: Sequence[int],
    labels: Sequence[str],
    with_notes: bool = True,
) -> list[Group]:
    """A group a picture: its versions, one a column, above their maps at each resolution."""
    images = [image_cells(seen.images) for seen in columns]
    maps = [attention(D, seen, config, resolutions) for seen in columns]
    groups = []
    for n, label in enumerate(labels):
        rows = [Row([cells[n] for cells in images], "image")]
        for r in resolutions:
            here = [one[r][[n]] for one in maps]
            cells = [overlay_cells(m, seen.images[[n]])[0] for m, seen in zip(here, columns, strict=True)]
            notes = correlation_notes(torch.cat([correlation(m, here[0]) for m in here])) if with_notes else ()
            rows.append(Row(cells, square(r), notes))
        groups.append(Group(rows, label))
    return groups


def _pictures_of(subject: ModelUnderStudy, snapshot: Snapshot, seeds: Sequence[int]) -> ImagesWithLabels:
    model = Model.load(snapshot.path, subject.model.device)
    return subject.generated(seeds, model=model)
