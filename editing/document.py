"""A session of the editor as one document: which picture it is, what was changed in it, and how to write that down.

Nothing here needs torch: a document is parsed before the model is there. What it looks like is in rendering.py.
Coordinates are (x, y) in [-1, 1], x to the right and y down; what -1 and 1 are is the model's own registration
(training/layouts/registration.py): the borders of the picture, or the middles of its border pixels.
"""

import base64
import binascii
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

import numpy as np

from dnnlib.errors import UserError
from dnnlib.files import write_json
from dnnlib.json_files import read_json
from dnnlib.parsing import nearest
from dnnlib.words import counted
from editing import fields as read
from training.choices import NoiseMode

FORMAT = "steergan-session"
VERSION = 1

LATENTS_LIMIT = 4 << 20  # characters of the base64 text of w
MASK_LIMIT = 4 << 20  # and of a mask's PNG
MOST_CENTERS = 1000  # of a level
MOST_HISTORY = 200  # states
MOST_POINTS = 100
MOST_DIRECTIONS = 32
FARTHEST = 10.0  # that any coordinate may be


@dataclass(frozen=True)
class DragPoint:
    """What is at `start` is to be pulled to `target`; both (x, y)."""

    start: tuple[float, float]
    target: tuple[float, float]


@dataclass(frozen=True)
class Mask:
    """Where a picture may change: within a circle (x, y, r), or where a grey PNG (base64) is white."""

    circle: tuple[float, float, float] | None = None
    png: str | None = None


@dataclass(frozen=True)
class Direction:
    """A step by `strength` standard deviations along direction `index` of a file of directions.

    file: its name among those that the editor was started with (no path, and nothing is opened by it).
    """

    file: str
    index: int = 0
    strength: float = 1.0


@dataclass(frozen=True)
class Document:
    """What is shown and how it was changed. See docs/editor.md for the file.

    network: a name that tells where the session comes from; it opens nothing.
    object_seeds: in scenes of n objects, n + 1 entries (the background's last) that say where the codes are from: a
        seed; (seed, i), the code that object i has with that seed; or None, `seed`. None for it: all of `seed`.
    label: a class number, the numbers of a whole label, or None.
    noise_seed: what random noise is drawn from; None: `seed`.
    layout: {"levels": [{"centers", "spreads", "strengths"}]}, a picture of a layout file; None: that of `seed`.
    w: final styles [1, *w_shape], a float32 .npy file in base64, that take the place of seed, label and truncation.
    history: earlier states, each as `to_json` has it.
    """

    network: str = ""
    seed: int = 0
    object_seeds: tuple[int | tuple[int, int] | None, ...] | None = None
    truncation_psi: float = 1.0
    truncation_cutoff: int | None = None
    label: int | tuple[float, ...] | None = None
    noise_mode: NoiseMode = "const"
    noise_seed: int | None = None
    layout: dict[str, Any] | None = None
    w: str | None = None
    directions: tuple[Direction, ...] = ()
    points: tuple[DragPoint, ...] = ()
    mask: Mask | None = None
    history: tuple[dict[str, Any], ...] = field(default=(), compare=False)

    def styles(self) -> np.ndarray | None:
        """The final styles [1, ...], float32, or None. Raises UserError when `w` holds no such array."""
        return None if self.w is None else decode_array(self.w, "w")


# ---- JSON


def to_json(document: Document) -> dict[str, Any]:
    """The document of a session file; `from_json` reads it back to an equal Document."""
    plain = {each.name: getattr(document, each.name) for each in fields(Document)}
    points, mask = plain.pop("points"), plain.pop("mask")
    plain["directions"] = [vars(each) for each in document.directions]
    plain["drag"] = {
        "points": [{"from": list(each.start), "to": list(each.target)} for each in points],
        "mask": None if mask is None else _mask_to_json(mask),
    }
    return {"format": FORMAT, "version": VERSION, **json.loads(json.dumps(plain))}


def from_json(value: Any, where: str = "session") -> Document:
    """The Document of a session file's JSON. Raises UserError, naming `where` and the field, when it is none."""
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise UserError(f"{where}: not a session of the editor (no \"format\": \"{FORMAT}\")")
    if value.get("version") != VERSION:
        raise UserError(f"{where}: version {value.get('version')!r:.20} of sessions; this reads version {VERSION}")
    try:
        return _read(value)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def save_session(path: str | Path, document: Document) -> None:
    """Write a session file, atomically."""
    write_json(path, to_json(document))


def load_session(path: str | Path) -> Document:
    """Read a session file. Raises UserError, naming the file, when it is none."""
    return from_json(read_json(path), str(path))


def encode_array(values: np.ndarray) -> str:
    """An array as a float32 .npy file in base64."""
    values = np.ascontiguousarray(values, dtype="<f4")
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {values.shape!r}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + values.tobytes()
    return base64.b64encode(data).decode("ascii")


def decode_array(text: str, name: str) -> np.ndarray:
    """The array of `encode_array`, or of numpy's own file. Raises UserError, naming `name`, for anything else."""
    try:
        stream = io.BytesIO(base64.b64decode(text, validate=True))
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("not version 1.0 of the format")
        shape, by_columns, kind = np.lib.format.read_array_header_1_0(stream)
        if kind != np.dtype("<f4") or by_columns or min(shape, default=1) < 1:
            raise ValueError(f"it holds {kind} of shape {shape}, not float32 row by row")
        values = np.frombuffer(stream.read(), kind).reshape(shape)
    except (ValueError, binascii.Error, MemoryError, OverflowError, SyntaxError, TypeError, RecursionError) as error:
        raise UserError(f"{name}: no float32 .npy file in base64 ({' '.join(str(error).split())[:120]})") from error
    if not np.isfinite(values).all():
        raise UserError(f"{name}: some of its numbers are not finite")
    return values


# ---- the fields


def _read(value: Mapping[str, Any]) -> Document:
    known = _READERS.keys() | {"format", "version", "drag"}
    for key in value.keys() - known:
        raise UserError(f"unknown field '{key[:40]}'{nearest(key, known)}")
    given = {name: reader(value[name], name) for name, reader in _READERS.items() if name in value}
    return Document(**given, **_read_drag(value.get("drag")))


def _read_drag(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    read.keys(value, "drag", {"points", "mask"})
    points = read.sequence(value.get("points", []), "drag.points", MOST_POINTS)
    return {
        "points": tuple(_point(each, f"drag.points[{i}]") for i, each in enumerate(points)),
        "mask": _mask(value.get("mask"), "drag.mask"),
    }


def _point(value: Any, name: str) -> DragPoint:
    read.keys(value, name, {"from", "to"}, needed={"from", "to"})
    start, target = (read.pair(value[key], f"{name}.{key}", -FARTHEST, FARTHEST) for key in ("from", "to"))
    return DragPoint(start, target)


def _mask(value: Any, name: str) -> Mask | None:
    if value is None:
        return None
    read.keys(value, name, {"circle", "png"})
    if len(value) != 1:
        raise UserError(f"{name}: give a circle or a png")
    if "png" in value:
        return Mask(png=read.text(value["png"], f"{name}.png", MASK_LIMIT))
    x, y, r = read.numbers(value["circle"], f"{name}.circle", 3, -FARTHEST, FARTHEST)
    if r <= 0:
        raise UserError(f"{name}.circle: its radius {r:g} must be positive")
    return Mask(circle=(x, y, r))


def _mask_to_json(mask: Mask) -> dict[str, Any]:
    return {"png": mask.png} if mask.circle is None else {"circle": list(mask.circle)}


def _layout(value: Any, name: str) -> dict[str, Any] | None:
    """Only its form; the model it is meant for decides whether it fits."""
    if value is None:
        return None
    read.keys(value, name, {"levels", "noise"}, needed={"levels"})
    levels = read.sequence(value["levels"], f"{name}.levels", 16)
    if not levels:
        raise UserError(f"{name}.levels: there is none")
    noise = {"noise": _noise(value["noise"], f"{name}.noise")} if value.get("noise") is not None else {}
    return {"levels": [_level(each, f"{name}.levels[{i}]") for i, each in enumerate(levels)], **noise}


def _noise(value: Any, name: str) -> dict[str, Any]:
    read.keys(value, name, {"kind", "seed", "share"}, needed={"kind", "seed", "share"})
    kind, seed = read.text(value["kind"], f"{name}.kind", 40), read.seed(value["seed"], f"{name}.seed")
    return {"kind": kind, "seed": seed, "share": read.number(value["share"], f"{name}.share", 0, 1)}


def _level(value: Any, name: str) -> dict[str, Any]:
    read.keys(value, name, {"centers", "spreads", "strengths"}, needed={"centers", "spreads"})
    centers = read.sequence(value["centers"], f"{name}.centers", MOST_CENTERS)
    places = [list(read.numbers(each, f"{name}.centers", 2, -FARTHEST, FARTHEST)) for each in centers]
    count = len(places)
    spreads = read.numbers(value["spreads"], f"{name}.spreads", count, 0, 1e6)
    level: dict[str, Any] = {"centers": places, "spreads": list(spreads)}
    if value.get("strengths") is not None:
        level["strengths"] = list(read.numbers(value["strengths"], f"{name}.strengths", count, 0, 1))
    return level


def _label(value: Any, name: str) -> int | tuple[float, ...] | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return None if value is None else read.whole(value, name, 0, 2**31)
    return read.numbers(value, name, None, -1e6, 1e6)


def _object_seeds(value: Any, name: str) -> tuple[int | tuple[int, int] | None, ...] | None:
    if value is None:
        return None
    return tuple(_code(each, name) for each in read.sequence(value, name, MOST_CENTERS))


def _code(value: Any, name: str) -> int | tuple[int, int] | None:
    if not isinstance(value, list):
        return None if value is None else read.seed(value, name)
    if len(value) != 2:
        raise UserError(f"{name}: a seed and an object's number are needed, not {counted(len(value), 'value')}")
    return read.seed(value[0], name), read.whole(value[1], name, 0, MOST_CENTERS)


def _directions(value: Any, name: str) -> tuple[Direction, ...]:
    found = []
    for i, each in enumerate(read.sequence(value, name, MOST_DIRECTIONS)):
        where = f"{name}[{i}]"
        read.keys(each, where, {"file", "index", "strength"}, needed={"file"})
        file = read.text(each["file"], f"{where}.file", 4096)
        index = read.whole(each.get("index", 0), f"{where}.index", 0, 10**6)
        found.append(Direction(file, index, read.number(each.get("strength", 1.0), f"{where}.strength", -1e4, 1e4)))
    return tuple(found)


def _history(value: Any, name: str) -> tuple[dict[str, Any], ...]:
    states = read.sequence(value, name, MOST_HISTORY)
    for i, state in enumerate(states):
        if isinstance(state, dict) and state.get("history"):
            raise UserError(f"{name}[{i}]: a state has no history of its own")
        from_json(state, f"{name}[{i}]")
    return tuple(states)


def _optional(reader: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    return lambda value, name: None if value is None else reader(value, name)


_READERS: dict[str, Callable[[Any, str], Any]] = {
    "network": lambda value, name: read.text(value, name, 4096),
    "seed": read.seed,
    "object_seeds": _object_seeds,
    "truncation_psi": lambda value, name: read.number(value, name, -10, 10),
    "truncation_cutoff": _optional(lambda value, name: read.whole(value, name, 0, 1000)),
    "label": _label,
    "noise_mode": lambda value, name: read.choice(value, name, get_args(NoiseMode)),
    "noise_seed": _optional(read.seed),
    "layout": _layout,
    "w": _optional(lambda value, name: read.text(value, name, LATENTS_LIMIT)),
    "directions": _directions,
    "history": _history,
}
