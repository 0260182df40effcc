"""Which picture a command edits, and where what comes of it is written: what `edit.py drag` and `towards` share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.files import check_files, make_dir, write_by
from editing.document import Document, encode_array, save_session
from training.data.class_names import chosen_class
from training.layouts.edits import load_latents
from training.layouts.files import layout_to_json, load_layout, save_layout
from training.layouts.layout import Layout
from training.pictures.grids import image_grid, save_png, to_cells
from training.pictures.videos import check_video, save_video
from training.runs.snapshot import find_snapshot
from training.sampling import Model

VIDEO_SIDE = 256  # pixels at least


@dataclass(frozen=True, kw_only=True)
class PictureRequest:
    """What both commands are asked for, in the form of their options.

    out: the strip, of `frames` pictures at most. seed: of latent and layout, each unless a file is given.
    """

    network: str
    out: str
    seed: int = 0
    layout: str | None = None
    latents: str | None = None
    class_label: str | None = None
    trunc: float = 1.0
    frames: int = 7
    video: str | None = None
    save_latents: str | None = None
    save_layout: str | None = None
    save_session: str | None = None
    device: str = "auto"

    @property
    def outputs(self) -> list[str]:
        """All files that are asked for."""
        return [*filter(None, (self.out, self.video, self.save_latents, self.save_layout, self.save_session))]


def check_outputs(request: PictureRequest) -> None:
    """Raises UserError when a file that is asked for cannot be made; looks at no model yet, and makes nothing."""
    if request.video:
        check_video(request.video)
    check_files(request.outputs)


def load_model(request: PictureRequest) -> Model:
    """Raises UserError when there is none, or it has no layout to be written."""
    model = Model.load(request.network, request.device)
    if request.save_layout and not model.is_layout_conditioned:
        raise UserError("--save-layout: this model hears no layout; leave it out")
    return model


def chosen_layout(model: Model, request: PictureRequest) -> Layout | None:
    """Of one picture; None where the model takes none."""
    if request.layout is None:
        return model.layout([request.seed])
    return model.fitted(load_layout(request.layout)[:1], request.layout).to(model.device)


def chosen_label(model: Model, request: PictureRequest) -> int | Tensor | None:
    """The class of the picture. Raises UserError when a model with classes is given none."""
    return chosen_class(request.class_label, model.config.generator.c_dim, find_snapshot(request.network))


def chosen_latents(request: PictureRequest) -> dict[str, Tensor]:
    """The first of a file, {"ws": [1, ...]} or {"z": [1, ...]}; {} where the seed's are meant."""
    return {} if request.latents is None else {k: v[:1] for k, v in load_latents(request.latents).items()}


def chosen_styles(model: Model, request: PictureRequest, layout: Layout | None) -> Tensor:
    """ws [1, *w_shape]."""
    how: dict[str, Any] = {"truncation_psi": request.trunc, "layout": layout}
    if request.latents is None or request.class_label is not None:
        how["labels"] = chosen_label(model, request)
    if request.latents is None:
        return model.styles([request.seed], **how)
    latents = chosen_latents(request)
    return model.styles(z=latents.get("z"), ws=latents.get("ws"), **how)


def make_folders(request: PictureRequest) -> None:
    """Those that the files go to, once nothing else can be refused."""
    for path in request.outputs:
        make_dir(Path(path).parent)


def frame_numbers(count: int, most: int) -> list[int]:
    """Of `count` pictures on the way, `most` at most at equal distances; the first and the last are among them."""
    return np.unique(np.linspace(0, count - 1, most).round().astype(int)).tolist()


def write_outcome(
    request: PictureRequest, model: Model, images: Tensor, ws: Tensor, layout: Layout | None
) -> list[Path]:
    """The strip of images [N, C, R, R] and what else was asked for; ws [1, ...] and layout make the last picture."""
    chosen = frame_numbers(len(images), request.frames)
    written = [save_png(request.out, image_grid(images[chosen], len(chosen)))]
    if request.video:
        written.append(save_video(request.video, list(to_cells(images, VIDEO_SIDE))))
    if request.save_latents:
        values = ws.cpu().numpy()
        written.append(write_by(request.save_latents, lambda file: np.savez(file, w=values)))
    if request.save_layout and layout is not None:
        save_layout(request.save_layout, layout)
        written.append(Path(request.save_layout))
    if request.save_session:
        save_session(request.save_session, session_of(request, model, ws, layout))
        written.append(Path(request.save_session))
    return written


def session_of(request: PictureRequest, model: Model, ws: Tensor, layout: Layout | None) -> Document:
    """The last picture as the editor opens it."""
    where = None if layout is None else layout_to_json(layout)["layouts"][0]
    return Document(network=model.config.name, seed=request.seed, layout=where, w=encode_array(ws.cpu().numpy()))
