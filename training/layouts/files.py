"""Layouts as JSON files: {"format", "version", "layouts": [{"levels": [{"centers": [[x, y]...], "spreads": [...]}]}]}.

A level has "strengths" where they are not all 1, a layout has "noise" where its sampler added some.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.files import write_json
from dnnlib.json_files import read_json
from training.layouts.layout import Layout, concatenate
from training.layouts.noise import HeatmapNoise, NoiseKind

FORMAT = "steergan-layout"
VERSION = 1

# What torch and Python raise on JSON that has other types, lengths or sizes of numbers in some place.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


def layout_to_json(layout: Layout) -> dict[str, Any]:
    """The JSON document of a layout."""
    return {"format": FORMAT, "version": VERSION, "layouts": [_picture_to_json(layout, n) for n in range(len(layout))]}


def layout_from_json(document: Any, where: str = "layout") -> Layout:
    """The Layout of a JSON document. Raises UserError naming `where` when it is none or has impossible values."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise UserError(f'{where}: not a layout file (no "format": "{FORMAT}")')
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
