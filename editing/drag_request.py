"""From a request to files on disk: what `edit.py drag` does. All checks come before the first file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.files import make_dir, write_by
from dnnlib.parsing import floats, shown
from editing.dragging import DragMode, DragOptions, DragStep, drag
from editing.own_pictures import read_picture
from editing.registration import disc_of_pixels, registration_of_model
from training.data.class_names import chosen_class
from training.layouts.edits import load_latents
from training.layouts.files import load_layout, save_layout
from training.layouts.layout import Layout
from training.pictures.grids import image_grid, save_png, to_cells
from training.pictures.videos import check_video, save_video
from training.runs.snapshot import find_snapshot
from training.sampling import Model

VIDEO_SIDE = 256  # pixels at least

Place = tuple[float, float]


@dataclass(frozen=True)
class DragRequest:
    """What the command was asked for, in the form of its options."""

    network: str
    points: tuple[str, ...]
    out: str
    seed: int = 0
    layout: str | None = None
    latents: str | None = None
    class_label: str | None = None
    trunc: float = 1.0
    mode: DragMode = "hybrid"
    mask: str | None = None
    max_steps: int = 200
    lr: float | None = None
    features: int | None = None
    frames: int = 7
    video: str | None = None
    save_latents: str | None = None
    save_layout: str | None = None
    device: str = "auto"


def drag_to_files(request: DragRequest) -> tuple[list[Path], DragStep]:
    """Drag and write; the paths written and the last step. Raises UserError, before any file, on bad input."""
    points = parse_points(request.points)
    options = _options(request)
    if request.video:
        check_video(request.video)
    model = Model.load(request.network, request.device)
    if request.save_layout and not model.is_layout_conditioned:
        raise UserError("--save-layout: this model hears no layout; leave it out")
    layout = _layout(model, request)
    ws = _styles(model, request, layout)
    mask = None if request.mask is None else read_mask(request.mask, model)
    steps = drag(model, ws, layout, points, mask, options)
    for path in filter(None, (request.out, request.video, request.save_latents, request.save_layout)):
        make_dir(Path(path).parent)
    images = []
    for last in steps:
        images.append(last.image.cpu())
    return _write(request, torch.cat(images), last), last


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
        return (read_picture(Path(text), resolution, 1)[0] > 0).float()
    x, y, radius = floats(text, 3, "--mask")
    mask = torch.from_numpy(disc_of_pixels(x, y, radius, resolution, registration_of_model(model)))
    if radius <= 0 or not mask.any():
        raise UserError(f"--mask {text}: no pixel is inside of this circle")
    return mask


def _options(request: DragRequest) -> DragOptions:
    options = DragOptions(request.mode, request.max_steps, feature_resolution=request.features)
    return options if request.lr is None else replace(options, lr=request.lr)


def _layout(model: Model, request: DragRequest) -> Layout | None:
    if request.layout is None:
        return model.layout([request.seed])
    return load_layout(request.layout)[:1].to(model.device)


def _styles(model: Model, request: DragRequest, layout: Layout | None) -> Tensor:
    how: dict[str, Any] = {"truncation_psi": request.trunc}
    if request.latents is None or request.class_label is not None:
        how["labels"] = chosen_class(request.class_label, model.config.generator.c_dim, find_snapshot(request.network))
    if request.latents is None:
        return model.styles([request.seed], layout=layout, **how)
    latents = {name: values[:1] for name, values in load_latents(request.latents).items()}
    return model.styles(z=latents.get("z"), ws=latents.get("ws"), layout=layout, **how)


def _write(request: DragRequest, images: Tensor, last: DragStep) -> list[Path]:
    chosen = np.unique(np.linspace(0, len(images) - 1, request.frames).round().astype(int))
    written = [save_png(request.out, image_grid(images[chosen.tolist()], len(chosen)))]
    if request.video:
        written.append(save_video(request.video, list(to_cells(images, VIDEO_SIDE))))
    if request.save_latents:
        ws = last.ws.cpu().numpy()
        written.append(write_by(request.save_latents, lambda file: np.savez(file, w=ws)))
    if request.save_layout and last.layout is not None:
        save_layout(request.save_layout, last.layout)
        written.append(Path(request.save_layout))
    return written
