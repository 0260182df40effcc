"""Layouts: where things are. Centres and spreads per level, drawn by samplers, rendered as Gaussian heatmaps.

Coordinates are (x, y) in [-1, 1], x to the right and y down; -1 and 1 are the centres of the border pixels.
Levels 0, 1, 2 belong to the features at 4x4, 8x8, 16x16 (EqGAN-SA, section 3.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.files import read_json, write_json
from training.config import SamplerConfig

LEVEL_RESOLUTIONS = (4, 8, 16)
EPS = 0.01  # floor of a heatmap
CHILD_LIMIT = 3.0  # centres of levels 1 and 2 may leave the image, but not by any amount

FORMAT = "steergan-layout"


@dataclass(frozen=True)
class Layout:
    """Centres and spreads of N pictures.

    centers: per level [N, n, 2], (x, y). spreads: per level [N, n], positive; twice the variance.
    """

    centers: tuple[Tensor, ...]
    spreads: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.centers[0])

    def __getitem__(self, index: slice | Tensor | Sequence[int]) -> "Layout":
        """A selection of pictures (a slice, or a list of numbers)."""
        return self._apply(lambda t: t[index])

    @property
    def counts(self) -> tuple[int, ...]:
        """Sub-heatmaps per level."""
        return tuple(c.shape[1] for c in self.centers)

    def heatmaps(self, level: int, resolution: int) -> Tensor:
        """H_i(p) = exp(-|p - c_i|^2 / s_i) + 0.01 for every sub-heatmap: [N, n, resolution, resolution].

        Values in (0.01, 1.01] (EqGAN-SA, equation 2).
        """
        centers, spreads = self.centers[level], self.spreads[level]
        axis = torch.linspace(-1, 1, resolution, device=centers.device, dtype=centers.dtype)
        along = torch.exp(-(axis - centers[..., None]).square() / spreads[..., None, None])  # [N, n, 2, r]
        return along[:, :, 1, :, None] * along[:, :, 0, None, :] + EPS

    def moved(self, level: int, index: int, dx: float | Tensor, dy: float | Tensor) -> "Layout":
        """A copy with one centre moved by (dx, dy), numbers or [N]; levels 1 and 2 follow a centre of level 0.

        Raises UserError when there is no such centre.
        """
        if not 0 <= level < len(self.centers) or not 0 <= index < self.counts[level]:
            raise UserError(f"no centre {level}:{index} in a layout with {_describe(self.counts)}")
        like = self.centers[0]
        step = [torch.as_tensor(d, dtype=like.dtype, device=like.device).expand(len(self)) for d in (dx, dy)]
        offset = torch.stack(step, -1)
        centers = [c.clone() for c in self.centers]
        centers[level][:, index] += offset
        if level == 0:
            centers[1:] = [c + offset[:, None] for c in centers[1:]]
        return Layout(tuple(centers), self.spreads)

    def to(self, device: torch.device | str) -> "Layout":
        return self._apply(lambda t: t.to(device))

    def repeat(self, count: int) -> "Layout":
        """Every picture `count` times in a row."""
        return self._apply(lambda t: t.repeat_interleave(count, 0))

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
        return self

    def _apply(self, change) -> "Layout":
        return Layout(tuple(map(change, self.centers)), tuple(map(change, self.spreads)))


@dataclass(frozen=True)
class RenderedLayout:
    """Heatmaps given as pictures, one [N, n, R, R] a level; resized (bilinear, corners aligned) where needed."""

    levels: tuple[Tensor, ...]

    def heatmaps(self, level: int, resolution: int) -> Tensor:
        """[N, n, resolution, resolution]."""
        return resize(self.levels[level], resolution)


def concatenate(layouts: Sequence[Layout]) -> Layout:
    """One layout with the pictures of all, in order."""
    return Layout(
        tuple(torch.cat(level) for level in zip(*(one.centers for one in layouts), strict=True)),
        tuple(torch.cat(level) for level in zip(*(one.spreads for one in layouts), strict=True)),
    )


def resize(x: Tensor, resolution: int) -> Tensor:
    """Bilinear resize of [N, C, H, W] to a square, corners aligned."""
    if x.shape[2:] == (resolution, resolution):
        return x
    return torch.nn.functional.interpolate(x, (resolution, resolution), mode="bilinear", align_corners=True)


# --- samplers ---------------------------------------------------------------------------------------------------


def sample_layout(
    count: int,
    config: SamplerConfig,
    generator: torch.Generator,
    counts: Sequence[int] = (1, 2, 4),
) -> Layout:
    """Draw `count` random layouts on the generator's device (spec: section 2, samplers `paper` and `released`)."""
    shapes = [(count, n) for n in counts]
    if config.kind == "paper":
        first = _truncated_normal((count, counts[0], 2), 2 / 3, generator)
        rest = [first[:, :1] + _normal((*shape, 2), 1 / 3, generator) for shape in shapes[1:]]
    else:
        first = _normal((count, counts[0], 2), 0.33, generator).clamp(-0.75, 0.75)
        rest = [
            first[:, :1] + _uniform((*shape, 2), -reach, reach, generator)
            for shape, reach in zip(shapes[1:], (0.4, 0.8), strict=True)
        ]
    return Layout((first, *rest), _sample_spreads(shapes, config.spread, generator))


def _sample_spreads(
    shapes: Sequence[tuple[int, int]], first: tuple[float, float], generator: torch.Generator
) -> tuple[Tensor, ...]:
    """One draw a batch at level 0, one per sub-heatmap at levels 1 and 2."""
    return (
        _uniform((), *first, generator).expand(shapes[0]),
        _uniform(shapes[1], 0.1 / 1.4, 1.1 / 1.4, generator),
        _uniform(shapes[2], 0.1 / 2, 1.1 / 2, generator),
    )


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def _normal(shape: tuple[int, ...], std: float, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device) * std


def _truncated_normal(shape: tuple[int, ...], std: float, generator: torch.Generator) -> Tensor:
    """Normal(0, std) redrawn while outside [-1, 1]: by the inverse distribution function, which needs no loop."""
    edge = torch.special.erf(torch.tensor(2**-0.5 / std, device=generator.device))
    return torch.special.erfinv(_uniform(shape, -1, 1, generator) * edge) * (std * 2**0.5)


# --- JSON -------------------------------------------------------------------------------------------------------


def layout_to_json(layout: Layout) -> dict[str, Any]:
    """A JSON document: {"format", "version", "layouts": [{"levels": [{"centers": [[x, y]...], "spreads": [...]}]}]}."""
    pictures = [
        {
            "levels": [
                {"centers": centers[n].tolist(), "spreads": spreads[n].tolist()}
                for centers, spreads in zip(layout.centers, layout.spreads, strict=True)
            ]
        }
        for n in range(len(layout))
    ]
    return {"format": FORMAT, "version": 1, "layouts": pictures}


def layout_from_json(document: Any, where: str = "layout") -> Layout:
    """The Layout of a JSON document. Raises UserError naming `where` when it is none or has impossible values."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UserError(f"{where}: not a layout file (no \"format\": \"{FORMAT}\")")
    try:
        layouts = [_picture_from_json(picture) for picture in document["layouts"]]
        if not layouts:
            raise UserError("there is no layout in it")
        return concatenate(layouts).validate()
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise UserError(f"{where}: malformed layout ({type(error).__name__}: {error})") from error


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


def _picture_from_json(picture: dict[str, Any]) -> Layout:
    levels = picture["levels"]
    if not levels:
        raise ValueError("a layout needs at least one level")
    centers = [torch.tensor(level["centers"], dtype=torch.float32) for level in levels]
    spreads = [torch.tensor(level["spreads"], dtype=torch.float32) for level in levels]
    for level, (c, s) in enumerate(zip(centers, spreads, strict=True)):
        if c.ndim != 2 or c.shape[1] != 2 or s.shape != c.shape[:1]:
            raise ValueError(f"level {level} needs a list of [x, y] centres and as many spreads")
    return Layout(tuple(c[None] for c in centers), tuple(s[None] for s in spreads))


def _describe(counts: Sequence[int]) -> str:
    return "/".join(map(str, counts)) + f" centres at level{'s' if len(counts) > 1 else ''} 0 to {len(counts) - 1}"
