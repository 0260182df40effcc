"""From a request to files on disk: what `edit.py directions` does. All checks come before the first file."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.files import check_files, make_dir
from dnnlib.parsing import shown
from dnnlib.words import counted
from editing.latent.conditions import make_condition
from editing.latent.field_files import About, save_field
from editing.latent.ganspace import ganspace
from editing.latent.interface import Pairs, Strength, draw_pairs
from editing.latent.interfacegan import InterFaceGan, InterFaceOptions
from editing.latent.manipulation import default_condition, example_of
from editing.latent.sefa import sefa
from editing.latent.sgf import Sgf
from editing.latent.space import ModelSubject, Space
from training.latent.directions import Directions, Part, save_directions
from training.pictures.grids import PAPER, save_png, tile, to_cells
from training.sampling import Model

TITLE_WIDTH = 120  # pixels in front of the rows of a figure
HEAD_HEIGHT = 16  # and above its columns


@dataclass(frozen=True)
class DirectionsRequest:
    """What the command was asked for, in the form of its options."""

    network: str
    dest: str
    method: str = "sefa"
    conditions: tuple[str, ...] = ()
    count: int = 10
    layers: str | None = None
    part: Part | None = None
    space: Space = "w"
    samples: int = 10_000
    fit_seed: int = 0
    seed: int = 0
    class_number: int | None = None
    trunc: float = 1.0
    span: float = 3.0
    columns: int = 7
    figure: str | None = None
    device: str = "auto"


def fit_to_files(request: DirectionsRequest) -> tuple[list[Path], list[str]]:
    """Find directions, write file and figure; the paths written, and what is to be said of them.

    Raises UserError, before any file is written, on bad input.
    """
    layers = parse_layers(request.layers)
    figure = _check(request)
    model = Model.load(request.network, request.device)
    if request.method in ("sefa", "ganspace"):
        directions = _unsupervised(model, request, layers)
        page = directions_page(model, directions, request)
        return _written(request, figure, page, lambda path: save_directions(path, directions)), []
    subject, words = _subject(model, request, layers)
    pairs = draw_pairs(subject, request.samples, request.fit_seed)
    said = [f"9 in 10 of {counted(request.samples, 'random picture')} have"]
    said += [f"  {name}: {low:.2f} to {high:.2f}" for name, low, high in _ranges(subject, pairs)]
    if request.method == "sgf":
        field = Sgf.fit(subject, pairs, seed=request.fit_seed)
        page = field_page(subject, field, request)
        about = About(subject.names, words, subject.space, subject.layers, model.config.name)
        return _written(request, figure, page, lambda path: save_field(path, field, about)), said
    options = InterFaceOptions(conditional=request.method == "interfacegan-conditional")
    fitted = InterFaceGan.fit(subject, pairs, options)
    directions = fitted.directions(subject.names, subject.layers, model.config.name)
    page = directions_page(model, directions, request)
    return _written(request, figure, page, lambda path: save_directions(path, directions)), said


def _written(request: DirectionsRequest, figure: Path, page: np.ndarray, save: Callable[[str], Path]) -> list[Path]:
    """The file, by `save`, and the figure, in folders that are made now."""
    for path in (Path(request.dest), figure):
        make_dir(path.parent)
    return [save(request.dest), save_png(figure, page)]


def parse_layers(text: str | None) -> tuple[int, int] | None:
    """(first, last) of 'A-B' or 'A'. Raises UserError for any other form."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*([0-9]{1,4})(?:-([0-9]{1,4}))?\s*", text)
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise UserError(f"--layers '{shown(text)}' is not of the form A-B, such as 0-3")
    return int(match[1]), int(match[2] or match[1])


def _check(request: DirectionsRequest) -> Path:
    """Where the figure goes. Raises UserError for paths that cannot be written, and options that do not go together."""
    dest, learns = Path(request.dest), request.method not in ("sefa", "ganspace")
    if dest.suffix != ".safetensors":
        raise UserError(f"--dest {request.dest}: the file is called something.safetensors")
    if request.conditions and not learns:
        raise UserError(
            f"--condition: {request.method} looks at no pictures; leave it out, or take interfacegan or sgf"
        )
    if request.part and learns:
        raise UserError(f"--part: {request.method} is for models with one latent for an image")
    if request.space != "w" and request.method != "sgf":
        raise UserError(f"--space={request.space}: {request.method} finds directions in w")
    figure = Path(request.figure) if request.figure else dest.with_suffix(".png")
    check_files([dest, figure])
    return figure


def _unsupervised(model: Model, request: DirectionsRequest, layers: tuple[int, int] | None) -> Directions:
    if request.part and len(model.G.w_shape) == 2:
        raise UserError("--part: this model has one style for all of an image; leave it out")
    if request.method == "sefa":
        return sefa(model, request.count, layers, request.part)
    return ganspace(model, request.count, layers, request.part, request.samples, request.fit_seed)


def _subject(
    model: Model, request: DirectionsRequest, layers: tuple[int, int] | None
) -> tuple[ModelSubject, tuple[str, ...]]:
    """What is edited, and its condition in words."""
    words = request.conditions or default_condition(model.config)
    condition = make_condition(words, example_of(model))
    return ModelSubject(model, condition, request.space, layers, request.trunc, request.class_number), words


def _ranges(subject: ModelSubject, pairs: Pairs) -> list[tuple[str, float, float]]:
    """Of each attribute the values that one picture in twenty is below, and above."""
    low, high = (torch.quantile(pairs.conditions[:100_000], share, dim=0).tolist() for share in (0.05, 0.95))
    return list(zip(subject.names, low, high, strict=True))


# ---- figures


def directions_page(model: Model, directions: Directions, request: DirectionsRequest) -> np.ndarray:
    """Rows of the picture's strengths along each direction, uint8 [H, W, 3]."""
    layout = model.layout([request.seed])
    ws = model.styles([request.seed], layout=layout, labels=request.class_number, truncation_psi=request.trunc)
    strengths = _strengths(request).to(model.device)
    seeds, rows = [request.seed] * len(strengths), []
    for index in range(len(directions)):
        moved = directions.moved(ws.expand(len(strengths), *ws.shape[1:]), index, strengths)
        rows.append(model.images(seeds, ws=moved, layout=layout))
    return page(rows, directions.names, strengths.tolist())


def field_page(subject: ModelSubject, field: Sgf, request: DirectionsRequest) -> np.ndarray:
    """The same for the attributes of a field: each strength is a target that many deviations from the picture."""
    strengths = _strengths(request).to(subject.model.device)
    points = subject.of_seeds([request.seed] * len(strengths))
    rows = []
    for index in range(len(subject.names)):
        edit = field.edit(points, Strength(index, strengths))
        rows.append(subject.pictures(points.at(edit.values)))
    return page(rows, subject.names, strengths.tolist())


def _strengths(request: DirectionsRequest) -> Tensor:
    return torch.linspace(-request.span, request.span, request.columns)


def page(rows: list[Tensor], names: tuple[str, ...], strengths: list[float]) -> np.ndarray:
    """Pictures [n, C, R, R] a row, behind the rows' names and below the n strengths: uint8 [H, W, 3]."""
    cells = to_cells(torch.cat(rows))
    side = cells.shape[1]
    titles = tile([_title(name, TITLE_WIDTH, side) for name in names], 1)
    heads = [f"{strength:+.2g}" if strength else "0" for strength in strengths]
    above = tile([_title(head, side, HEAD_HEIGHT) for head in heads], len(heads))
    head = np.concatenate([_title("", TITLE_WIDTH, HEAD_HEIGHT), above], axis=1)
    return np.concatenate([head, np.concatenate([titles, tile(cells, len(rows[0]))], axis=1)], axis=0)


def _title(text: str, width: int, height: int) -> np.ndarray:
    """A cell with a text, uint8 [height, width, 3]."""
    picture = Image.new("RGB", (width, height), (PAPER,) * 3)
    ImageDraw.Draw(picture).text((4, height // 2 - 6), text[:18], fill=(0, 0, 0))
    return np.asarray(picture)
