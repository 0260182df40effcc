"""The model in memory, and what is done with it: each task is a generator that the scheduler runs."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dnnlib.errors import UserError
from editing.document import Document, encode_array
from editing.film import film_frames
from editing.latent.registry import about_directions, chosen_field, known_files
from editing.masks import mask_array
from editing.model_facts import facts
from editing.registration import registration_of_model
from editing.rendering import Rendering, layout_of, render, styles_of
from editing.server.protocol import DragRequest, FilmRequest, InvertRequest, Overlay, Render, frame, picture_part
from editing.server.uploads import decode_upload
from torch_utils import ops
from torch_utils.allocator import keep_memory
from torch_utils.native.loader import is_loaded
from torch_utils.threads import yield_when_crowded
from training.figures.attention import attention
from training.figures.subject import ImagesWithLabels, discriminator_of
from training.layouts.files import layout_to_json
from training.layouts.layout import Layout
from training.networks.backbones import DiscriminatorNetwork
from training.networks.synthesis import NoiseMode
from training.pictures.grids import to_uint8
from training.pictures.videos import check_video, save_video
from training.runs.snapshot import Snapshot, open_snapshot
from training.sampling import Model

if TYPE_CHECKING:
    from editing.dragging import DragStep

Send = Callable[[bytes], None]
Task = Generator[None, None, None]


class Engine:
    """A snapshot opened for the editor, with files of directions that documents may name.

    Raises UserError as Model.load does, and for a file that is none or is of another model.
    """

    def __init__(self, network: str, device: str = "auto", directions: Sequence[str] = ()):
        self.snapshot: Snapshot = open_snapshot(network)
        if self.snapshot.config.generator.c_values > 0:
            raise UserError(
                f"{network}: makes pictures of label maps or captions, which the editor has no place for; "
                "use generate.py with --label-map or --text"
            )
        self.model = Model.load(self.snapshot.path, device)
        self.directions, self.fields = known_files(directions, self.model)
        self._discriminator: DiscriminatorNetwork | None = None
        if self.model.device.type == "cpu":
            keep_memory()
            yield_when_crowded()

    def use_pytorch_operators(self) -> bool:
        """Until `wait_for_native`; returns whether that is worth waiting for."""
        if self.model.device.type != "cpu" or ops.chosen() != "auto":
            return False
        ops.use("pytorch")
        return True

    def wait_for_native(self) -> bool:
        """Build and load the native operators, in a thread of their own; returns whether they are there."""
        return is_loaded("cpu")

    def use_native_operators(self) -> None:
        ops.use("auto")

    def about(self) -> dict[str, Any]:
        """What the page has to know of the model."""
        known = [about_directions(name, found) for name, found in self.directions.items()]
        fields = [found.about(name) for name, found in self.fields.items()]
        return {**facts(self.model, self.snapshot), "directions": known, "fields": fields}

    # ---- tasks

    def rendering(self, request: Render, send: Send) -> Task:
        """One frame "picture" with the layout and perhaps a part "overlay"."""
        start = time.perf_counter()
        document = replace(request.document, history=())
        with_features = request.overlay is not None and request.overlay.kind == "features"
        rendering = render(self.model, document, with_features, self.directions)
        parts = [picture_part(rendering.image)]
        if request.overlay is not None:
            parts.append(picture_part(self._overlay(request.overlay, rendering, document), "overlay"))
        about = {"id": request.id, "slot": request.slot, "layout": rendering.layout_json()}
        if request.slot == "main":
            about["key_points"] = {name: field.places(rendering.images) for name, field in self.fields.items()}
        send(frame("picture", {**about, "ms": _ms_since(start)}, parts))
        yield

    def dragging(self, request: DragRequest, send: Send) -> Task:
        """A frame "drag" a step; the last one has `done`, the reason, and the new styles and layout."""
        document = replace(request.document, history=())
        if not document.points:
            raise UserError("there is no point to drag; press one in the picture and pull it")
        for step in self._drag(document, request.options):
            said = {"points": _plain(step.points), "distances": _plain(step.distances), "reason": step.reason}
            send(self._step_frame("drag", request.id, step, {**said, "done": step.done}))
            yield

    def inverting(self, request: InvertRequest, upload: bytes, send: Send) -> Task:
        """A frame "invert" a step with loss and rms; all have styles and layout, the document's where that stays."""
        from editing.inversion import InversionOptions, invert

        config = self.snapshot.config.generator
        target = decode_upload(upload, config.img_resolution, config.img_channels)
        send(frame("upload", {"id": request.id}, [picture_part(target)]))
        yield
        images = torch.from_numpy(target.copy()).permute(2, 0, 1)[None].to(self.model.device) / 127.5 - 1
        options = InversionOptions(**request.options)
        layout = None if options.optimize_layout else layout_of(self.model, replace(request.document, history=()))
        for step in invert(self.model, images, options, layout=layout):
            said = {"loss": float(step.loss), "rms": float(step.rms), "steps": options.steps}
            send(self._step_frame("invert", request.id, step, said))
            yield

    def filming(self, request: FilmRequest, folder: Path, send: Send) -> Task:
        """Frames "progress", then one "film" with the file's bytes."""
        path = folder / f"film{request.suffix}"
        check_video(path)
        documents = [replace(document, history=()) for document in request.documents]
        frames = []
        for picture in film_frames(self.model, documents, request.frames, request.marks, self.directions):
            frames.append(picture)
            total = (len(documents) - 1) * request.frames + 1
            send(frame("progress", {"id": request.id, "slot": "film", "done": len(frames), "total": total}))
            yield
        data = save_video(path, frames, frames_per_second=15).read_bytes()
        send(frame("film", {"id": request.id, "suffix": request.suffix}, [({"name": "file"}, data)]))
        yield

    # ---- parts of them

    def _drag(self, document: Document, options: Mapping[str, Any]) -> Iterator["DragStep"]:
        """By features and heatmaps, or key points by a field."""
        from editing.dragging import DragOptions, drag

        layout = layout_of(self.model, document)
        ws = styles_of(self.model, document, layout, self.directions)
        points = [(point.start, point.target) for point in document.points]
        if "field" in options:
            field, max_steps = chosen_field(self.fields, options, document)
            return field.drag(ws, layout, points, max_steps, _steady(document))
        resolution = self.snapshot.config.generator.img_resolution
        mask = mask_array(document.mask, resolution, registration_of_model(self.model))
        if mask is not None and not mask.any():
            raise UserError("nothing may change yet: paint or circle what may, or let everything")
        inside = None if mask is None else torch.from_numpy(mask).to(self.model.device)
        return drag(self.model, ws, layout, points, inside, DragOptions(**options), noise_mode=_steady(document))

    def _overlay(self, overlay: Overlay, rendering: Rendering, document: Document) -> np.ndarray:
        """uint8 [r, r], scaled to its own range."""
        known = self.about()[overlay.kind]
        if overlay.resolution not in known:
            there = ", ".join(map(str, known))
            raise UserError(f"overlay: no {overlay.kind} at {overlay.resolution}; there is {there}")
        if overlay.kind == "features":
            values = rendering.features[overlay.resolution]
        else:
            values = self._attention(rendering.images, document, overlay.resolution)
        low, high = float(values.min()), float(values.max())
        return np.rint((values - low) / max(high - low, 1e-12) * 255).astype(np.uint8)

    def _attention(self, images: Tensor, document: Document, resolution: int) -> np.ndarray:
        if self._discriminator is None:
            self._discriminator = discriminator_of(self.snapshot, self.model.device)
        seen = ImagesWithLabels(images, self._label_rows(document))
        maps = attention(self._discriminator, seen, self.snapshot.config.align, [resolution])
        return maps[resolution][0, 0].cpu().numpy()

    def _label_rows(self, document: Document) -> Tensor | None:
        classes = self.snapshot.config.generator.c_dim
        if classes == 0:
            return None
        if isinstance(document.label, tuple):
            return torch.tensor([document.label], device=self.model.device)
        return torch.nn.functional.one_hot(torch.tensor([document.label or 0]), classes).float().to(self.model.device)

    def _step_frame(self, kind: str, number: int, step: Any, said: dict[str, Any]) -> bytes:
        image = to_uint8(step.image.detach())[0].permute(1, 2, 0).cpu().numpy()
        about = {"id": number, "slot": kind, "step": step.step, "layout": _layout_json(step.layout)}
        about["w"] = encode_array(step.ws.detach().cpu().numpy())
        return frame(kind, {**about, **said}, [picture_part(image)])


def _layout_json(layout: Layout | None) -> dict[str, Any] | None:
    return None if layout is None else layout_to_json(layout)["layouts"][0]


def _steady(document: Document) -> NoiseMode:
    """Noise that is drawn anew at each step would hide what the optimisation does."""
    return "none" if document.noise_mode == "none" else "const"


def _plain(values: Any) -> Any:
    """Lists of floats of tensors, tuples and lists, however nested."""
    if isinstance(values, Tensor):
        return values.tolist()
    if isinstance(values, (list, tuple)):
        return [_plain(each) for each in values]
    return float(values)


def _ms_since(start: float) -> float:
    return round((time.perf_counter() - start) * 1000, 2)


