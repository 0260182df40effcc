"""Layouts: where things are. Centres and spreads per level, rendered as Gaussian heatmaps.

Coordinates are (x, y) in [-1, 1], x to the right and y down; -1 and 1 are the centres of the border pixels.
Levels 0, 1, 2 belong to the features at 4x4, 8x8, 16x16 (EqGAN-SA, section 3.2). A layout with a single level, that of
a scene with several objects, has the same heatmaps for all of them (SpatialGAN, "Multi-object Heatmap Sampling").
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.files import write_json
from dnnlib.json_files import read_json
from torch_utils.constants import axis, constant
from training.config import LEVEL_RESOLUTIONS
from training.layouts.noise import HeatmapNoise, NoiseKind

EPS = 0.01  # floor of a heatmap
CHILD_LIMIT = 3.0  # centres of levels 1 and 2 may leave the image, but not by any amount

FORMAT = "steergan-layout"
VERSION = 1

# What torch and Python raise on JSON that has other types, lengths or sizes of numbers in some place.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


class HeatmapSource(Protocol):
    """Anything that renders heatmaps: a Layout, or pictures of heatmaps. `floor`: what is added to a Gaussian."""

    def heatmaps(self, level: int, resolution: int, floor: float = EPS) -> Tensor: ...


@dataclass(frozen=True)
class Layout:
    """Centres and spreads of N pictures.

    centers: per level [N, n, 2], (x, y). spreads: per level [N, n], positive; twice the variance.
    strengths: per level [N, n], in [0, 1], which the heatmaps are multiplied by: 0 removes an object; None: all are 1.
    noise: what an ablation's sampler adds to the heatmaps.
    """

    centers: tuple[Tensor, ...]
    spreads: tuple[Tensor, ...]
    strengths: tuple[Tensor, ...] | None = None
    noise: HeatmapNoise | None = None

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

        Values in (0.01, 1.01] (EqGAN-SA, equation 2), then times the strength. A single level serves as every level.
        """
        level = min(level, len(self.centers) - 1)
        centers, spreads = self.centers[level], self.spreads[level]
        distance = (axis(resolution, centers) - centers[..., None]).square()
        along = torch.exp(distance / -spreads[..., None, None])  # [N, n, 2, r]
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

    def to(self, device: torch.device | str) -> "Layout":
        noise = None if self.noise is None else self.noise.to(device)
        return replace(self._apply(lambda t: t.to(device)), noise=noise)

    def repeat(self, count: int) -> "Layout":
        """Every picture `count` times in a row."""
        return self[torch.arange(len(self), device=self.centers[0].device).repeat_interleave(count)]

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


@dataclass(frozen=True)
class RenderedLayout:
    """Heatmaps given as pictures, one [N, n, R, R] a level; resized (bilinear, corners aligned) where needed."""

    levels: tuple[Tensor, ...]

    def heatmaps(self, level: int, resolution: int, floor: float = EPS) -> Tensor:
        """[N, n, resolution, resolution]; what floor they have is the pictures' own."""
        return resize(self.levels[min(level, len(self.levels) - 1)], resolution)


def concatenate(layouts: Sequence[Layout]) -> Layout:
    """One layout with the pictures of all, in order; all are to have noise of one kind, or none."""
    strengths, noise = None, layouts[0].noise
    if any(one.strengths is not None for one in layouts):
        strengths = _joined(one._all_strengths() for one in layouts)
    if noise is not None:
        noise = replace(noise, seeds=torch.cat([one.noise.seeds for one in layouts]))
    return Layout(_joined(one.centers for one in layouts), _joined(one.spreads for one in layouts), strengths, noise)


def flattened(source: HeatmapSource) -> Tensor:
    """The sums of each level's sub-heatmaps at 4x4, 8x8 and 16x16 as vectors [N, 336] (ablation "Flatten")."""
    sums = [source.heatmaps(level, r).sum(1).flatten(1) for level, r in enumerate(LEVEL_RESOLUTIONS)]
    return torch.cat(sums, dim=1)


def _joined(layouts: Iterable[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(torch.cat(level) for level in zip(*layouts, strict=True))


def resize(x: Tensor, resolution: int) -> Tensor:
    """Bilinear resize of [N, C, H, W] to a square, corners aligned."""
    if x.shape[2:] == (resolution, resolution):
        return x
    return torch.nn.functional.interpolate(x, (resolution, resolution), mode="bilinear", align_corners=True)


# --- JSON -------------------------------------------------------------------------------------------------------


def layout_to_json(layout: Layout) -> dict[str, Any]:
    """A JSON document: {"format", "version", "layouts": [{"levels": [{"centers": [[x, y]...], "spreads": [...]}]}]}.

    A level has "strengths" where they are not all 1, a layout has "noise" where its sampler added some.
    """
    return {"format": FORMAT, "version": VERSION, "layouts": [_picture_to_json(layout, n) for n in range(len(layout))]}


def layout_from_json(document: Any, where: str = "layout") -> Layout:
    """The Layout of a JSON document. Raises UserError naming `where` when it is none or has impossible values."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UserError(f"{where}: not a layout file (no \"format\": \"{FORMAT}\")")
    if document.get("version") not in (None, VERSION):
        raise UserError(f"{where}: version {document['version']!r:.20} of layout files; this reads version {VERSION}")
    try:
        layouts = [_picture_from_json(picture) for picture in document["layouts"]]
        if not layouts:
            raise UserError("there is no layout in it")
        return concatenate(layouts).validate()
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    except _MALFORMED as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{where}: malformed layout ({type(error).__name__}: {reason})") from error


def save_layout(path: str | Path, layout: Layout) -> None:
    """Write a layout as JSON, atomically."""
    write_json(path, layout_to_json(layout))


def load_layout(path: str | Path) -> Layout:
    """Read a layout file. Raises UserError when it cannot be read or is none."""
    return layout_from_json(read_json(path), str(path))


def check_counts(layout: Layout, counts: Sequence[int], where: Literal["layout"] | str = "layout") -> Layout:
    """Returns `layout`. Raises UserError when its levels are not those a model was trained with."""
    if layout.counts != tuple(counts):
        raise UserError(
            f"{where} has {_describe(layout.counts)}, but this model takes {_describe(counts)}; "
            "it was made for another method"
        )
    return layout


def _picture_to_json(layout: Layout, n: int) -> dict[str, Any]:
    pairs = zip(layout.centers, layout.spreads, strict=True)
    levels = [{"centers": centers[n].tolist(), "spreads": spreads[n].tolist()} for centers, spreads in pairs]
    for level, strengths in zip(levels, layout.strengths or (), strict=False):
        level["strengths"] = strengths[n].tolist()
    if layout.noise is None:
        return {"levels": levels}
    noise = {"kind": layout.noise.kind, "seed": int(layout.noise.seeds[n]), "share": layout.noise.share}
    return {"levels": levels, "noise": noise}


def _picture_from_json(picture: dict[str, Any]) -> Layout:
    levels = picture["levels"]
    if not levels:
        raise ValueError("a layout needs at least one level")
    centers = [torch.tensor(level["centers"], dtype=torch.float32) for level in levels]
    spreads = [torch.tensor(level["spreads"], dtype=torch.float32) for level in levels]
    for level, (c, s) in enumerate(zip(centers, spreads, strict=True)):
        if c.ndim != 2 or c.shape[1] != 2 or s.shape != c.shape[:1]:
            raise ValueError(f"level {level} needs a list of [x, y] centres and as many spreads")
    layout = Layout(tuple(c[None] for c in centers), tuple(s[None] for s in spreads))
    return replace(layout, strengths=_strengths_from_json(levels, layout), noise=_noise_from_json(picture.get("noise")))


def _strengths_from_json(levels: list[dict[str, Any]], layout: Layout) -> tuple[Tensor, ...] | None:
    if not any("strengths" in level for level in levels):
        return None
    strengths = tuple(
        torch.tensor([level["strengths"]], dtype=torch.float32) if "strengths" in level else torch.ones_like(spreads)
        for level, spreads in zip(levels, layout.spreads, strict=True)
    )
    if any(a.shape != b.shape for a, b in zip(strengths, layout.spreads, strict=True)):
        raise ValueError("a level needs as many strengths as centres")
    return strengths


def _noise_from_json(noise: dict[str, Any] | None) -> HeatmapNoise | None:
    if noise is None:
        return None
    if noise["kind"] not in get_args(NoiseKind):
        raise ValueError(f"unknown kind of noise {noise['kind']!r:.40}")
    seed, share = int(noise["seed"]) % 2**32, float(noise["share"])
    if not 0 <= share <= 1:
        raise ValueError(f"the noise's share is {share:g}; it must be in [0, 1]")
    return HeatmapNoise(noise["kind"], torch.tensor([seed]), share)


def _describe(counts: Sequence[int]) -> str:
    levels = f"levels 0 to {len(counts) - 1}" if len(counts) > 1 else "level 0"
    return "/".join(map(str, counts)) + f" centres at {levels}"
