"""From a request to files on disk: what `edit.py drag` does. All checks come before the first file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.parsing import floats, shown
from editing.dragging import DragMode, DragOptions, DragStep, drag
from editing.own_pictures import read_picture
from editing.picture_request import (
    PictureRequest,
    check_outputs,
    chosen_layout,
    chosen_styles,
    load_model,
    make_folders,
    write_outcome,
)
from editing.registration import disc_of_pixels, registration_of_model
from training.sampling import Model

Place = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class DragRequest(PictureRequest):
    """What the command was asked for, in the form of its options."""

    points: tuple[str, ...]
    mode: DragMode = "hybrid"
    mask: str | None = None
    max_steps: int = 200
    lr: float | None = None
    features: int | None = None


def drag_to_files(request: DragRequest) -> tuple[list[Path], DragStep]:
    """Drag and write; the paths written and the last step. Raises UserError, before any file, on bad input."""
    points = parse_points(request.points)
    options = _options(request)
    check_outputs(request)
    model = load_model(request)
    layout = chosen_layout(model, request)
    ws = chosen_styles(model, request, layout)
    mask = None if request.mask is None else read_mask(request.mask, model)
    steps = drag(model, ws, layout, points, mask, options)
    make_folders(request)
    images = []
    for last in steps:
        images.append(last.image.cpu())
    return write_outcome(request, model, torch.cat(images), last.ws, last.layout), last


def parse_points(texts: Sequence[str]) -> list[tuple[Place, Place]]:
    """(from, to) of 'x,y>x,y', several in one text apart by ';'. Raises UserError for any other form."""
    found: list[tuple[Place, Place]] = []
    for part in (part for text in texts for part in text.split(";") if part.strip()):
        ends = part.split(">")
        if len(ends) != 2:
            raise UserError(f"--points '{shown(part)}' is not of the form x,y>x,y")
        start, target = map(_place, ends)
        found.append((start, target))
    return found


def _place(text: str) -> Place:
    x, y = floats(text, 2, "--points")
    return x, y


def read_mask(text: str, model: Model) -> Tensor:
    """[R, R], 1 where a model's picture may change: inside of a circle 'x,y,r', or where a PNG is white.

    Raises UserError when it is neither.
    """
    resolution = model.config.generator.img_resolution
    if not re.fullmatch(r"[-+.0-9eE]+(,[-+.0-9eE]+){2}", text):
        painted = (read_picture(Path(text), resolution, 1)[0] > 0).float()
        if not painted.any():
            raise UserError(f"--mask {text}: nothing in this picture is white, so nothing may change")
        return painted
    x, y, radius = floats(text, 3, "--mask")
    mask = torch.from_numpy(disc_of_pixels(x, y, radius, resolution, registration_of_model(model)))
    if radius <= 0 or not mask.any():
        raise UserError(f"--mask {text}: no pixel is inside of this circle")
    return mask


def _options(request: DragRequest) -> DragOptions:
    options = DragOptions(request.mode, request.max_steps, feature_resolution=request.features)
    return options if request.lr is None else replace(options, lr=request.lr)
