"""Scenes in words: centres, moves and grids as they are written on a command line, and files of fixed latents."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.npz_files import read_npz
from dnnlib.parsing import floats, shown, whole
from training.layouts.layout import Layout

MOST = 10_000  # levels, objects, and cells of a grid along one side
SEED_LIMIT = 2**32
FARTHEST = 1e6  # that a way may go, far outside every image
LATENT_KEYS = {"w": "ws", "z": "z"}  # array in the file: argument of Model.images
LATENTS_BYTES = 4 << 30  # of a file of latents
LARGEST_LATENT = 1e6  # styles of trained models are some units large; of huge ones pictures are no numbers
RANGES = {"spread": (1e-4, 100.0), "strength": (0.0, 1.0)}  # of what --spread and --strength take


@dataclass(frozen=True)
class Center:
    """Sub-heatmap `index` of `level`, with the position (x, y) it goes to, or the way (x, y) it moves."""

    level: int
    index: int
    x: float
    y: float

    def __str__(self) -> str:
        return f"{self.level}:{self.index}:{self.x:g},{self.y:g}"

    @property
    def is_inside(self) -> bool:
        return abs(self.x) <= 1 and abs(self.y) <= 1


@dataclass(frozen=True)
class Change:
    """The spread or strength of sub-heatmap `index` of `level`: `first`, in a film on its way to `last`."""

    what: Literal["spread", "strength"]
    level: int
    index: int
    first: float
    last: float


def parse_centers(texts: Sequence[str]) -> list[Center]:
    """Positions from 'level:index:x,y' or 'x,y' (level 0), several in one text apart by ';'. Upper levels come first.

    Raises UserError for any other form, and for positions outside [-1, 1].
    """
    centers = [_parse(part, "--centers", "x,y") for text in texts for part in text.split(";") if part.strip()]
    for center in centers:
        if not center.is_inside:
            raise UserError(f"--centers {center}: x and y must be in [-1, 1], the borders of the image")
    return sorted(centers, key=lambda center: center.level)


def parse_moves(texts: Sequence[str]) -> list[Center]:
    """Ways from 'level:index:dx,dy' or 'dx,dy' (level 0), several in one text apart by ';'.

    Raises UserError for any other form.
    """
    return [_parse(part, "--move", "dx,dy") for text in texts for part in text.strip(" ;").split(";")]


def parse_removals(texts: Sequence[str]) -> list[tuple[int, int]]:
    """(level, index) of sub-heatmaps from 'level:index' or 'index' (level 0), several in one text apart by ','.

    Raises UserError for any other form.
    """
    found = []
    for part in (part for text in texts for part in text.split(",")):
        match = re.fullmatch(r"\s*(?:([0-9]+):)?([0-9]+)\s*", part)
        if match is None:
            raise UserError(f"--remove '{shown(part)}' is not of the form level:index or index")
        found.append((_number(match[1], "--remove"), _number(match[2], "--remove")))
    return found


def parse_restyles(texts: Sequence[str]) -> list[tuple[int, int, int]]:
    """(object, seed, the object whose style it is) from 'object:seed' or 'object:seed:other', several in one text
    apart by ','.

    Raises UserError for any other form.
    """
    found = []
    for part in (part for text in texts for part in text.split(",")):
        match = re.fullmatch(r"\s*([0-9]+):([0-9]+)(?::([0-9]+))?\s*", part)
        if match is None:
            raise UserError(f"--restyle '{shown(part)}' is not of the form object:seed or object:seed:other")
        number, other = _number(match[1], "--restyle"), _number(match[3] or match[1], "--restyle")
        found.append((number, whole(match[2], SEED_LIMIT, "--restyle"), other))
    return found


def parse_changes(what: Literal["spread", "strength"], texts: Sequence[str]) -> list[Change]:
    """Changes from 'object=value' or 'object=from:to', several in one text apart by ','; object: 'level:index' or
    'index' (level 0).

    Raises UserError for any other form, and for values outside RANGES.
    """
    return [_change(what, part) for text in texts for part in text.split(",")]


def is_gradual(texts: Sequence[str]) -> bool:
    """Whether one of such texts has a range."""
    return any(":" in part.partition("=")[2] for text in texts for part in text.split(","))


def parse_grid(text: str) -> tuple[int, int]:
    """(columns, rows) from '8x4'. Raises UserError for any other form."""
    match = re.fullmatch(r"([1-9][0-9]*)x([1-9][0-9]*)", text)
    if match is None:
        raise UserError(f"--grid '{shown(text)}' must be columns x rows, such as 8x4")
    columns, rows = _number(match[1], "--grid"), _number(match[2], "--grid")
    if columns * rows > MOST:
        raise UserError(f"--grid {text}: {columns * rows:,} pictures are too many for one page; take {MOST:,} at most")
    return columns, rows


def placed(layout: Layout, centers: Sequence[Center]) -> Layout:
    """A copy with the centres of every picture at the given positions; levels 1 and 2 follow a centre of level 0.

    Raises UserError when the layout has no such centre.
    """
    for center in centers:
        target = torch.tensor([center.x, center.y], device=layout.centers[0].device)
        layout.moved(center.level, center.index, 0.0, 0.0)  # raises when there is no such centre
        dx, dy = (target - layout.centers[center.level][:, center.index]).unbind(-1)
        layout = layout.moved(center.level, center.index, dx, dy)
        layout.centers[center.level][:, center.index] = target  # exactly, also where the sum was rounded
    return layout


def without(layout: Layout, removals: Sequence[tuple[int, int]]) -> Layout:
    """A copy in which these sub-heatmaps, (level, index), are 0. Raises UserError when there is none such."""
    for level, index in removals:
        layout = layout.with_strength(level, index, 0.0)
    return layout


def changed(layout: Layout, changes: Sequence[Change], share: float | Tensor = 0.0) -> Layout:
    """A copy with other spreads and strengths, `share` of the way to the last ones: one number, or [N].

    Raises UserError when there is no such sub-heatmap.
    """
    for each in changes:
        value = each.first + (each.last - each.first) * share
        change = layout.with_spread if each.what == "spread" else layout.with_strength
        layout = change(each.level, each.index, value)
    return layout


def moved(layout: Layout, moves: Sequence[Center], share: float | Tensor = 1.0) -> Layout:
    """A copy moved by this share of each move: one number, or [N] numbers for N pictures."""
    for move in moves:
        layout = layout.moved(move.level, move.index, move.x * share, move.y * share)
    return layout


def check_moves(layout: Layout, moves: Sequence[Center], names: Sequence[str]) -> None:
    """Raises UserError, naming the picture, when a move ends outside the image."""
    for move in moves:
        if not (abs(move.x) <= FARTHEST and abs(move.y) <= FARTHEST):
            raise UserError(f"--move {move} goes outside [-1, 1]; make it shorter")
    end = moved(layout, moves)
    for move in moves:
        positions = end.centers[move.level][:, move.index].tolist()
        for name, (x, y) in zip(names, positions, strict=True):
            if not Center(move.level, move.index, x, y).is_inside:
                raise UserError(
                    f"--move {move} takes {name} to ({x:.3g}, {y:.3g}), outside [-1, 1]; "
                    "make it shorter, or choose the start with --centers"
                )
    end.validate()


def load_latents(path: str | Path) -> dict[str, Tensor]:
    """{"ws": [N, num_ws, w_dim]} or {"z": [N, z_dim]}, float32, from array 'w' or 'z' of an .npz file.

    Raises UserError when the file cannot be read or has neither.
    """
    if not Path(path).exists():
        raise UserError(f"{path}: no such file; --latents takes an .npz file")
    arrays = read_npz(path, LATENTS_BYTES, LATENT_KEYS)
    if any(values.dtype.kind not in "fiu" for values in arrays.values()):
        raise UserError(f"{path}: not a readable .npz file of latents (its arrays are no real numbers)")
    with np.errstate(over="ignore"):  # infinite ones are refused below
        found = {LATENT_KEYS[key]: torch.from_numpy(values.astype(np.float32)) for key, values in arrays.items()}
    if len(found) != 1 or any(latents.ndim < 2 or latents.numel() == 0 for latents in found.values()):
        raise UserError(f"{path}: needs one array named 'w' [N, num_ws, w_dim] or 'z' [N, z_dim], N at least 1")
    if not all(latents.isfinite().all() for latents in found.values()):
        raise UserError(f"{path}: some of its latents are not finite numbers")
    largest = max(latents.abs().max().item() for latents in found.values())
    if largest > LARGEST_LATENT:
        raise UserError(f"{path}: its latents reach {largest:.3g}, with which no model makes pictures")
    return found


def _parse(text: str, option: str, form: str) -> Center:
    match = re.fullmatch(r"\s*(?:([0-9]+):([0-9]+):)?([^:]+)", text)
    if match is None:
        raise UserError(f"{option} '{shown(text)}' is not of the form level:index:{form} or {form}")
    x, y = floats(match[3], 2, option)
    return Center(_number(match[1], option), _number(match[2], option), x, y)


def _change(what: Literal["spread", "strength"], text: str) -> Change:
    match = re.fullmatch(r"\s*(?:([0-9]+):)?([0-9]+)=([^:=]+)(?::([^:=]+))?", text)
    if match is None:
        raise UserError(f"--{what} '{shown(text)}' is not of the form object=value or object=from:to")
    first, last = (floats(value, 1, f"--{what}")[0] for value in (match[3], match[4] or match[3]))
    low, high = RANGES[what]
    if not (low <= first <= high and low <= last <= high):
        raise UserError(f"--{what} {shown(text.strip())}: values must be in [{low:g}, {high:g}]")
    return Change(what, _number(match[1], f"--{what}"), _number(match[2], f"--{what}"), first, last)


def _number(digits: str | None, option: str) -> int:
    return whole(digits or "0", MOST, option)
