"""What page and server say to each other over the WebSocket.

The page sends JSON texts, and a picture's file as a binary message. The server answers with JSON texts, and with
frames:

    b"SGF1" | length of the header, uint32, little endian | header, JSON in UTF-8 | the parts' bytes in their order

    header: {"type", "id", "slot", "parts": [{"name", "bytes", ...}], ...}

A picture is a part {"name": "picture", "width", "height", "channels"} of uint8 values row by row. `id` is the number
that the page gave its request; it shows no frame that is older than the one on display.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnnlib.errors import UserError
from dnnlib.json_files import parse_json
from editing import fields as read
from editing.document import Document, from_json

MAGIC = b"SGF1"
TEXT_LIMIT = 10 << 20  # bytes of a JSON message
UPLOAD_LIMIT = 20 << 20  # bytes of a picture's file
LAST_ID = 2**53 - 1  # what JavaScript counts to exactly
MOST_KEYFRAMES = 100
OVERLAYS = ("attention", "features")


@dataclass(frozen=True)
class Overlay:
    """A map to lay over the picture: D's "attention" or the mean of G's "features" at some resolution."""

    kind: str
    resolution: int


@dataclass(frozen=True)
class Render:
    """Show a document. Of several requests in one slot, the newest counts."""

    id: int
    slot: str
    document: Document
    overlay: Overlay | None = None


@dataclass(frozen=True)
class DragRequest:
    """Pull the document's points to their targets.

    `options` are fields of DragOptions, or `field`, the name of one that moves key points, and max_steps.
    """

    id: int
    document: Document
    options: dict[str, Any]


@dataclass(frozen=True)
class InvertRequest:
    """Find the latent and the layout of the uploaded picture; `options` are fields of InversionOptions."""

    id: int
    document: Document
    options: dict[str, Any]


@dataclass(frozen=True)
class FilmRequest:
    """A film through several documents. frames: from one to the next. marks: whether centres are drawn in."""

    id: int
    documents: tuple[Document, ...]
    suffix: str
    frames: int
    marks: bool


@dataclass(frozen=True)
class Stop:
    """Stop what takes long."""

    id: int


Request = Render | DragRequest | InvertRequest | FilmRequest | Stop


def parse(text: str) -> Request:
    """The request of a JSON text. Raises UserError, one line, when it is none."""
    if len(text) > TEXT_LIMIT:
        raise UserError(f"a message of {len(text):,} characters is too long; {TEXT_LIMIT:,} are the most")
    value = parse_json(text, "message")
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise UserError(f"message: its type is none of {', '.join(_KINDS)}")
    number = read.whole(value.get("id"), "id", 0, LAST_ID)
    return _KINDS[kind]({key: each for key, each in value.items() if key not in ("type", "id")}, number)


def frame(kind: str, header: Mapping[str, Any], parts: Sequence[tuple[dict[str, Any], bytes]] = ()) -> bytes:
    """A binary message; `parts`: what is said of each, and its bytes."""
    about = [{**said, "bytes": len(data)} for said, data in parts]
    text = json.dumps({"type": kind, **header, "parts": about}, separators=(",", ":")).encode()
    return b"".join([MAGIC, len(text).to_bytes(4, "little"), text, *(data for _, data in parts)])


def read_frame(data: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(header, {name: bytes}) of a frame; for tests and scripts. Raises ValueError when it is none."""
    if data[:4] != MAGIC:
        raise ValueError("not a frame")
    start = 8 + int.from_bytes(data[4:8], "little")
    header, parts = json.loads(data[8:start]), {}
    for part in header["parts"]:
        parts[part["name"]] = data[start : start + part["bytes"]]
        start += part["bytes"]
    if start != len(data):
        raise ValueError("a frame of another length")
    return header, parts


def picture_part(image: np.ndarray, name: str = "picture") -> tuple[dict[str, Any], bytes]:
    """A part of a picture uint8 [H, W] or [H, W, C]."""
    channels = image.shape[2] if image.ndim == 3 else 1
    said = {"name": name, "width": image.shape[1], "height": image.shape[0], "channels": channels}
    return said, np.ascontiguousarray(image, dtype=np.uint8).tobytes()


# ---- requests


def _render(value: dict[str, Any], number: int) -> Render:
    read.keys(value, "render", {"slot", "document", "overlay"}, needed={"document"})
    slot = read.text(value.get("slot", "main"), "slot", 20)
    if re.fullmatch(r"[a-z]+[0-9]{0,3}", slot) is None:
        raise UserError("slot: letters a to z, then at most three digits")
    return Render(number, slot, from_json(value["document"], "document"), _overlay(value.get("overlay")))


def _overlay(value: Any) -> Overlay | None:
    if value is None:
        return None
    read.keys(value, "overlay", {"kind", "resolution"}, needed={"kind", "resolution"})
    resolution = read.whole(value["resolution"], "overlay.resolution", 4, 4096)
    return Overlay(read.choice(value["kind"], "overlay.kind", OVERLAYS), resolution)


def _optimization(make: type, numbers: Mapping[str, Callable[[Any, str], Any]]) -> Callable[[dict, int], Any]:
    def parse_it(value: dict[str, Any], number: int) -> Any:
        read.keys(value, "message", {"document", "options"}, needed={"document"})
        options = read.keys(value.get("options", {}), "options", numbers)
        checked = {name: numbers[name](each, f"options.{name}") for name, each in options.items()}
        return make(number, from_json(value["document"], "document"), checked)

    return parse_it


def _film(value: dict[str, Any], number: int) -> FilmRequest:
    read.keys(value, "film", {"documents", "suffix", "frames", "marks"}, needed={"documents", "suffix"})
    documents = read.sequence(value["documents"], "documents", MOST_KEYFRAMES)
    if len(documents) < 2:
        raise UserError("documents: a film needs two keyframes or more")
    parsed = tuple(from_json(each, f"documents[{i}]") for i, each in enumerate(documents))
    suffix = read.choice(value["suffix"], "suffix", (".gif", ".mp4"))
    frames = read.whole(value.get("frames", 12), "frames", 1, 120)
    return FilmRequest(number, parsed, suffix, frames, read.flag(value.get("marks", False), "marks"))


def _stop(value: dict[str, Any], number: int) -> Stop:
    read.keys(value, "stop", ())
    return Stop(number)


_DRAG_OPTIONS: dict[str, Callable[[Any, str], Any]] = {
    "mode": lambda value, name: read.choice(value, name, ("latent", "alternate", "hybrid")),
    "max_steps": lambda value, name: read.whole(value, name, 1, 1000),
    "lr": lambda value, name: read.number(value, name, 1e-6, 1),
    "mask_weight": lambda value, name: read.number(value, name, 0, 1e4),
    "field": lambda value, name: read.text(value, name, 4096),
}
_INVERT_OPTIONS: dict[str, Callable[[Any, str], Any]] = {
    "space": lambda value, name: read.choice(value, name, ("w", "w+")),
    "steps": lambda value, name: read.whole(value, name, 1, 2000),
    "optimize_layout": read.flag,
}
_KINDS: dict[str, Callable[[dict[str, Any], int], Request]] = {
    "render": _render,
    "drag": _optimization(DragRequest, _DRAG_OPTIONS),
    "invert": _optimization(InvertRequest, _INVERT_OPTIONS),
    "film": _film,
    "stop": _stop,
}
