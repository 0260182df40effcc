"""What convert.py has written for others, recognized without their libraries: ONNX, a program, a bundle, states.

No network can be read back from these; so that nobody has to guess, each is told from others by what it says of itself
(interop/onnx_export.py, `about`), and of that nothing is believed before it was checked.
"""

import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dnnlib.errors import UserError
from dnnlib.json_files import open_regular, parse_json, read_json
from dnnlib.words import counted
from interop.pickles.families import LARGEST_FILE, ZIP, file_kind, words_in_zip
from torch_utils.tensor_files import UnreadableFile, open_tensors
from training.runs.sources import address_in

WEIGHTS, PROGRAM, CONFIG, LOAD = "weights.safetensors", "generator.py", "config.json", "load.py"  # of a bundle
NOTE = "steergan"  # of ONNX's metadata; the name of a program's file with the same
ADVICE = "no network can be read back from it; give the snapshot that it was made of"
_LARGEST_NOTE, _MOST_FIELDS = 1 << 20, 10_000  # bytes; fields of an ONNX file, which has some ten
_ONNX_START, _VARINT, _FIXED64, _BYTES, _FIXED32 = 8, 0, 1, 2, 5  # tag of the first field; wire types of protobuf
_GRAPH_FIELD, _METADATA_FIELD = 7, 14
_STATE_WORDS = {"G_ema", "synthesis.b4.const"}  # of a state dict in the reference's names

_Count = Annotated[int, Field(ge=0, lt=1 << 31, strict=True)]
_Word = Annotated[str, Field(max_length=200, pattern=r"^[\w.+ -]*$")]


class _Sampler(BaseModel):
    kind: _Word
    spread: tuple[float, float]


class _About(BaseModel):
    """What interop/onnx_export.py's `about` writes, and in newer files the inputs."""

    model_config = ConfigDict(extra="ignore")

    method: _Word
    kimg: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    counts: Annotated[list[_Count], Field(max_length=100)]
    img_resolution: _Count
    img_channels: _Count
    sampler: _Sampler
    inputs: Annotated[dict[_Word, list[_Count | _Word]], Field(max_length=1000)] = {}


@dataclass(frozen=True)
class Exported:
    """`kind`: what it is, such as "an ONNX file"; `lines`: more about it, where it says so."""

    kind: str
    lines: tuple[str, ...] = ()


def exported_at(text: str) -> Exported | None:
    """What is at a path, if it is of a form that leaves; None for all else. Raises UserError when it is damaged."""
    path = Path(text)
    try:
        if address_in(text) is not None or not path.exists():
            return None
    except (OSError, ValueError):  # a name that no file can have
        return None
    if path.is_dir():
        return _bundle(path)
    if not path.is_file():
        return None
    if file_kind(path) == ZIP:
        return _program(path) or _states(path)
    return _onnx(path) or _bundle_weights(path) or _flat_states(path)


def _bundle(path: Path) -> Exported | None:
    if not all((path / name).is_file() for name in (WEIGHTS, PROGRAM, CONFIG)):
        return None
    about = read_json(path / CONFIG, _LARGEST_NOTE)
    return Exported("a bundle, for torch alone", (*_lines(about, path / CONFIG), f"{LOAD} in it is how to use it"))


def _bundle_weights(path: Path) -> Exported | None:
    """The weights inside one, named instead of their folder."""
    inside = path.name == WEIGHTS and _bundle(path.parent) is not None
    return Exported(f"the weights of the bundle {path.parent}") if inside else None


def _program(path: Path) -> Exported | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if not any(name.endswith("/models/model.json") for name in names):
                return None
            notes = [archive.getinfo(name) for name in names if name.endswith(f"/extra/{NOTE}")]
            kind = "a program of torch.export"
            if len(notes) != 1 or notes[0].compress_type != zipfile.ZIP_STORED or notes[0].file_size > _LARGEST_NOTE:
                return Exported(f"{kind}; it does not say of which model")
            return Exported(kind, _lines(parse_json(archive.read(notes[0]), path), path))
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, EOFError, RuntimeError):
        return None


def _states(path: Path) -> Exported | None:
    words = words_in_zip(path)
    if not words >= _STATE_WORDS:
        return None
    return _of_states({name for name in ("G", "G_ema", "D") if name in words})


def _flat_states(path: Path) -> Exported | None:
    try:
        file = open_tensors(path)
    except (UnreadableFile, OSError):
        return None
    is_reference = "G_ema.synthesis.b4.const" in file.kinds and "steergan" not in file.metadata
    return _of_states({name.partition(".")[0] for name in file.kinds}) if is_reference else None


def _of_states(networks: set[str]) -> Exported:
    return Exported(f"a state dict in the names of StyleGAN2-ADA and EqGAN-SA, of {', '.join(sorted(networks))}")


def _onnx(path: Path) -> Exported | None:
    """By the outermost fields of the file alone; the graph is passed over."""
    found: dict[int, list[bytes]] = {}
    try:
        with open_regular(path, LARGEST_FILE) as file:
            if file.peek(1)[:1] != bytes([_ONNX_START]):
                return None
            for field, value in _fields(file, os.fstat(file.fileno()).st_size):
                found.setdefault(field, []).append(value)
        note = _note_of(found.get(_METADATA_FIELD, []))
    except ValueError:
        return None
    if _GRAPH_FIELD not in found:
        return None
    if note is None:
        return Exported("an ONNX file, not of this program")
    return Exported("an ONNX file", _lines(parse_json(note, path), path))


def _note_of(entries: list[bytes]) -> bytes | None:
    """The text of the entry NOTE, of the metadata's entries, each of which is a name and a text."""
    for entry in entries:
        parts = dict(_fields(io.BytesIO(entry), len(entry)))
        if parts.get(1) == NOTE.encode():
            return parts.get(2, b"")
    return None


def _fields(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """(number, bytes) of the fields of a protobuf message of `size` bytes; b"" of the graph, of numbers, and of what is
    too long to be read here. Raises ValueError where it is none.
    """
    for _ in range(_MOST_FIELDS):
        if file.tell() == size:
            return
        tag, value = _varint(file), b""
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            _varint(file)
        elif wire in (_FIXED64, _FIXED32):
            file.seek(8 if wire == _FIXED64 else 4, os.SEEK_CUR)
        elif wire == _BYTES:
            length = _varint(file)
            if length > size - file.tell():
                raise ValueError("a field is longer than the file")
            if length <= _LARGEST_NOTE and field != _GRAPH_FIELD:
                value = file.read(length)
            else:
                file.seek(length, os.SEEK_CUR)
        else:
            raise ValueError(f"no wire type is {wire}")
        if field == 0 or file.tell() > size:
            raise ValueError("no message")
        yield field, value
    raise ValueError("too many fields")


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("cut short")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("no number")


def _lines(note: Any, path: Path) -> tuple[str, ...]:
    """What a file says of itself, in words."""
    try:
        about = _About.model_validate(note)
    except ValidationError as error:
        raise UserError(f"{path}: damaged, what it says of itself is not understood") from error
    size, low, high = about.img_resolution, *about.sampler.spread
    shown = f"{about.kimg:,g} thousand images" if about.kimg else "an unknown number of images"
    layout = "/".join(map(str, about.counts))
    made = [
        f"made of: a model of method {about.method}, which has been shown {shown}",
        f"makes: images of {size}x{size}, {counted(about.img_channels, 'channel')}",
        f"layout: {layout} centers, sampler {about.sampler.kind}, spreads {low:g} to {high:g}"
        if about.counts else "layout: none, it is not steered",
    ]  # fmt: skip
    if about.inputs:
        shapes = (f"{name} [{', '.join(map(str, shape))}]" for name, shape in about.inputs.items())
        made.append(f"takes: {', '.join(shapes)}; N pictures at a time")
    return tuple(made)
