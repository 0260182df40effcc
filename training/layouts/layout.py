"""Layouts: where things are. Centres and spreads per level, rendered as Gaussian heatmaps.

Coordinates are (x, y) in [-1, 1], x to the right and y down; what -1 and 1 are: training/layouts/registration.py.
Levels 0, 1, 2 belong to the features at 4x4, 8x8, 16x16 (EqGAN-SA, section 4.1). A layout with a single level, that of
a scene with several objects, has the same heatmaps for all of them (SpatialGAN, "Multi-object Heatmap Sampling").
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from dnnlib.errors import UserError
from torch_utils.constants import constant
from training.config import LEVEL_RESOLUTIONS, Registration
from training.layouts.noise import HeatmapNoise
from training.layouts.registration import profiles

EPS = 0.01  # floor of a heatmap
CHILD_LIMIT = 3.0  # centres of levels 1 and 2 may leave the image, but not by any amount


class HeatmapSource(Protocol):
    """Anything that renders heatmaps: a Layout, or what a warp made of one. `floor`: what is added to a Gaussian."""

    def heatmaps(self, level: int, resolution: int, floor: float = EPS) -> Tensor: ...


@dataclass(frozen=True)
class Layout:
    """Centres and spreads of N pictures.

    centers: per level [N, n, 2], (x, y). spreads: per level [N, n], positive; twice the variance.
    strengths: per level [N, n], in [0, 1], which the heatmaps are multiplied by: 0 removes an object; None: all are 1.
    noise: what an ablation's sampler adds to the heatmaps. registration: where heatmaps have their pixels; a model's
    own layouts have its own, and it brings those that it is given to it.
    """

    centers: tuple[Tensor, ...]
    spreads: tuple[Tensor, ...]
    strengths: tuple[Tensor, ...] | None = None
    noise: HeatmapNoise | None = None
    registration: Registration = "corners"

    def __len__(self) -> int:
        return len(self.centers[0])

    def __getitem__(self, index: slice | Tensor | Sequence[int]) -> "Layout":
        """A selection of pictures (a slice, or a list of numbers)."""
        noise = None if self.noise is None else self.noise.select(index)
        return replace(self._apply(lambda t: t[index]), noise=noise)

    @property
    def counts(self) -> tuple[int, ...]:
        """Sub-heatmaps per level."""
        return tuple(c.shape[1] for c in self.centers)

    def heatmaps(self, level: int, resolution: int, floor: float = EPS) -> Tensor:
        """H_i(p) = exp(-|p - c_i|^2 / s_i) + floor for every sub-heatmap: [N, n, resolution, resolution].

        Values in (0.01, 1.01] (EqGAN-SA, equation 2), then times the strength. At the pixels' middles, or the means
        over pixels, as the registration has it. A single level serves as every level.
        """
        level = min(level, len(self.centers) - 1)
        centers, spreads = self.centers[level], self.spreads[level]
        along = profiles(centers, spreads, resolution, self.registration)  # [N, n, 2, r]
        across, down = along.unbind(2)
        heatmaps = torch.addcmul(constant(floor, along), down[..., :, None], across[..., None, :])
        if self.noise is not None:
            heatmaps = self.noise.applied(heatmaps, level)
        return heatmaps if self.strengths is None else heatmaps * self.strengths[level][:, :, None, None]

    def moved(self, level: int, index: int, dx: float | Tensor, dy: float | Tensor) -> "Layout":
        """A copy with one centre moved by (dx, dy), numbers or [N]; levels 1 and 2 follow a centre of level 0.

        Raises UserError when there is no such centre.
        """
        self._check_index(level, index)
        offset = torch.stack([_for_each(self, d) for d in (dx, dy)], -1)
        centers = [c.clone() for c in self.centers]
        centers[level][:, index] += offset
        if level == 0:
            centers[1:] = [c + offset[:, None] for c in centers[1:]]
        return replace(self, centers=tuple(centers))

    def with_spread(self, level: int, index: int, spread: float | Tensor) -> "Layout":
        """A copy with another spread, a number or [N], of one sub-heatmap. Raises UserError when there is none such."""
        self._check_index(level, index)
        return replace(self, spreads=_with_column(self.spreads, level, index, spread))

    def with_strength(self, level: int, index: int, strength: float | Tensor) -> "Layout":
        """A copy with another strength, in [0, 1]; 0 removes the object. Raises UserError when there is none such."""
        self._check_index(level, index)
        return replace(self, strengths=_with_column(self._all_strengths(), level, index, strength))

    def registered(self, registration: Registration) -> "Layout":
        """The same places, for a model with this registration."""
        return self if registration == self.registration else replace(self, registration=registration)

    def to(self, device: torch.device | str) -> "Layout":
        noise = None if self.noise is None else self.noise.to(device)
        return replace(self._apply(lambda t: t.to(device)), noise=noise)

    def repeat(self, count: int) -> "Layout":
        """Every picture `count` times in a row."""
        return self[torch.arange(len(self), device=self.centers[0].device).repeat_interleave(count)]

    def tensors(self) -> list[Tensor]:
        """All that it is made of: centers and spreads of every level, strengths, and the seeds of its noise."""
        seeds = [] if self.noise is None else [self.noise.seeds]
        return [*self.centers, *self.spreads, *(self.strengths or ()), *seeds]

    def validate(self) -> "Layout":
        """Returns itself. Raises UserError when a centre of level 0 is outside the image or a spread not positive."""
        for level, (centers, spreads) in enumerate(zip(self.centers, self.spreads, strict=True)):
            limit = 1.0 if level == 0 else CHILD_LIMIT
            for n, i in ((centers.abs() <= limit).logical_not().any(-1)).nonzero().tolist():
                x, y = centers[n, i].tolist()
                raise UserError(
                    f"layout {n}: centre {level}:{i} at ({x:g}, {y:g}) is outside [-{limit:g}, {limit:g}]; "
                    "-1 and 1 are the borders of the image"
                )
            for n, i in ((spreads > 0) & spreads.isfinite()).logical_not().nonzero().tolist():
                raise UserError(f"layout {n}: spread {level}:{i} is {spreads[n, i]:g}; it must be positive")
        for level, strengths in enumerate(self.strengths or ()):
            for n, i in ((strengths >= 0) & (strengths <= 1)).logical_not().nonzero().tolist():
                raise UserError(f"layout {n}: strength {level}:{i} is {strengths[n, i]:g}; it must be in [0, 1]")
        return self

    def _apply(self, change) -> "Layout":
        strengths = None if self.strengths is None else tuple(map(change, self.strengths))
        centers, spreads = tuple(map(change, self.centers)), tuple(map(change, self.spreads))
        return replace(self, centers=centers, spreads=spreads, strengths=strengths)

    def _all_strengths(self) -> tuple[Tensor, ...]:
        return tuple(map(torch.ones_like, self.spreads)) if self.strengths is None else self.strengths

    def _check_index(self, level: int, index: int) -> None:
        if not 0 <= level < len(self.centers) or not 0 <= index < self.counts[level]:
            raise UserError(f"no centre {level}:{index} in a layout with {_describe(self.counts)}")


def _for_each(layout: Layout, value: float | Tensor) -> Tensor:
    """[N] on the layout's device, of a number (without a copy that the host would wait for) or a tensor."""
    like, count = layout.centers[0], len(layout)
    return value.to(like).expand(count) if isinstance(value, Tensor) else like.new_full([count], value)


def _with_column(levels: tuple[Tensor, ...], level: int, index: int, value: float | Tensor) -> tuple[Tensor, ...]:
    """Copies of [N, n] for each level, with one column of one of them replaced."""
    changed = [values.clone() for values in levels]
    changed[level][:, index] = value
    return tuple(changed)


def concatenate(layouts: Sequence[Layout]) -> Layout:
    """One layout with the pictures of all, in order; all are to have noise of one kind, or none."""
    strengths, noise = None, layouts[0].noise
    if any(one.strengths is not None for one in layouts):
        strengths = _joined(one._all_strengths() for one in layouts)
    if noise is not None:
        noise = replace(noise, seeds=torch.cat([one.noise.seeds for one in layouts if one.noise is not None]))
    centers, spreads = _joined(one.centers for one in layouts), _joined(one.spreads for one in layouts)
    return Layout(centers, spreads, strengths, noise, layouts[0].registration)


def registered(source: HeatmapSource, registration: Registration) -> HeatmapSource:
    """A layout for a model with this registration; other sources stay what they are."""
    return source.registered(registration) if isinstance(source, Layout) else source


def registration_of(source: HeatmapSource) -> Registration:
    """That of a source of heatmaps; one that says nothing of it has aligned corners."""
    return getattr(source, "registration", "corners")


def flattened(source: HeatmapSource) -> Tensor:
    """The sums of each level's sub-heatmaps at 4x4, 8x8 and 16x16 as vectors [N, 336] (ablation "Flatten")."""
    sums = [source.heatmaps(level, r).sum(1).flatten(1) for level, r in enumerate(LEVEL_RESOLUTIONS)]
    return torch.cat(sums, dim=1)


def _joined(layouts: Iterable[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(torch.cat(level) for level in zip(*layouts, strict=True))


def check_counts(layout: Layout, counts: Sequence[int], where: str = "layout") -> Layout:
    """Returns `layout`. Raises UserError when its levels are not those a model was trained with."""
    if layout.counts != tuple(counts):
        raise UserError(
            f"{where} has {_describe(layout.counts)}, but this model takes {_describe(counts)}; "
            "it was made for another method"
        )
    return layout


def _describe(counts: Sequence[int]) -> str:
    levels = f"levels 0 to {len(counts) - 1}" if len(counts) > 1 else "level 0"
    return "/".join(map(str, counts)) + f" centres at {levels}"
