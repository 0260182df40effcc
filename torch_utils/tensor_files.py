"""Reading and writing safetensors files: checked when they are read, not copied in memory when they are written.

The library's own writer turns every tensor into bytes while it holds Python's lock, which would stop the training
step that goes on beside it. The format is an 8-byte length, a JSON header of names, types, shapes and offsets, and
the data one after the other (https://huggingface.co/docs/safetensors). Reading is left to the library, which compares
the header with the size of the file before anything is allocated.

Files written here have checksums in their metadata, so that damage to the numbers is noticed, too: a JSON object
{"metadata": CRC-32 of the other entries, "tensors": {name: CRC-32 of its bytes}}, eight hexadecimal digits each.
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dnnlib.errors import REASON, UserError, in_one_line
from dnnlib.files import atomic_path
from dnnlib.json_files import parse_json

CHECKSUMS = "crc32"  # the entry of the metadata

_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_DTYPES = {name: dtype for dtype, name in _TYPES.items()}
_ALIGNMENT = 8
_CHUNK = 1 << 22  # bytes; a signal or another thread does not wait longer than this takes
_FOREIGN = {b"\x80": "a Python pickle, which can run code when it is loaded", b"PK\x03\x04": "a zip archive"}


class UnreadableFile(UserError):
    """A safetensors file that is damaged, or something else."""


class TensorKind(NamedTuple):
    """What a header says of a tensor."""

    dtype: torch.dtype
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')} {list(self.shape)}"


@dataclass(frozen=True)
class TensorFile:
    """The header of a safetensors file: its metadata and the kinds of its tensors, which are read when asked for."""

    path: Path
    metadata: dict[str, str]
    kinds: dict[str, TensorKind]

    def read(self, names: Iterable[str] | None = None) -> dict[str, Tensor]:
        """The tensors of these names (None: all), on the CPU. Raises UnreadableFile when one is damaged or missing."""
        sums = self._checksums()
        wanted = list(self.kinds if names is None else names)
        try:
            with safe_open(self.path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in wanted}
        except (SafetensorError, OSError) as error:
            raise UnreadableFile(f"{self.path}: not readable any more ({in_one_line(error, REASON)})") from error
        for name, tensor in tensors.items():
            if sums is not None and sums.get(name) != checksum(tensor):
                raise UnreadableFile(f"{self.path}: damaged, the checksum of {in_one_line(name, REASON)} is wrong")
        return tensors

    def check(self) -> None:
        """Compare every tensor with its checksum, one at a time. Raises UnreadableFile when one is damaged."""
        for name in self.kinds:
            self.read([name])

    def _checksums(self) -> dict[str, Any] | None:
        """{tensor's name: CRC-32}; None in files from before there were any."""
        if CHECKSUMS not in self.metadata:
            return None
        sums = parse_json(self.metadata[CHECKSUMS], self.path)
        if not isinstance(sums, dict) or not isinstance(sums.get("tensors"), dict):
            raise UnreadableFile(f"{self.path}: damaged, its checksums are not understood")
        if sums.get("metadata") != _metadata_checksum(self.metadata):
            raise UnreadableFile(f"{self.path}: damaged, the checksum of its metadata is wrong")
        return sums["tensors"]


def open_tensors(path: str | Path) -> TensorFile:
    """Read the header of a safetensors file. Raises UnreadableFile, in one line, when it is damaged or something else.

    Offsets, shapes and the size of the file agree, and the metadata is what was written.
    """
    path = Path(path)
    if not path.is_file():
        raise UnreadableFile(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            kinds = {name: _kind(path, name, file.get_slice(name)) for name in file.keys()}  # noqa: SIM118
            opened = TensorFile(path, dict(file.metadata() or {}), kinds)
    except (SafetensorError, OSError) as error:
        why = _foreign(path) or f"perhaps cut short ({in_one_line(error, REASON)})"
        raise UnreadableFile(f"{path}: not readable, {why}") from error
    opened._checksums()
    return opened


def checksum(tensor: Tensor) -> str:
    """CRC-32 of a tensor's elements in order."""
    return _digits(zlib.crc32(memoryview(_rows(tensor).data).cast("B")))


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Atomically write tensors on the CPU as a safetensors file. Raises OSError as any writing does."""
    # Larger elements first: then every tensor is aligned.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    ordered = {name: tensors[name] for name in names}
    unknown = dict.fromkeys(names, 0)  # the sums are known when the data is written; they have one length
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(_header(ordered, metadata, unknown))
        sums = {name: _write(file, tensor) for name, tensor in ordered.items()}
        file.seek(0)
        file.write(_header(ordered, metadata, sums))


def _header(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], sums: Mapping[str, int]) -> bytes:
    """Everything before the data; its length does not depend on `sums`."""
    written = {"metadata": _metadata_checksum(metadata), "tensors": {name: _digits(sums[name]) for name in tensors}}
    header: dict[str, object] = {"__metadata__": {**metadata, CHECKSUMS: json.dumps(written, separators=(",", ":"))}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": _TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _write(file: BinaryIO, tensor: Tensor) -> int:
    """Write the elements in order; returns their CRC-32."""
    data, total = memoryview(_rows(tensor).data).cast("B"), 0
    for start in range(0, len(data), _CHUNK):
        part = data[start : start + _CHUNK]
        file.write(part)
        total = zlib.crc32(part, total)
    return total


def _rows(tensor: Tensor) -> np.ndarray:
    """The elements in order, [n], one-dimensional.

    NumPy brings them in order, because PyTorch would use several threads for that, and OpenMP slows down all others as
    soon as two threads of a process have used it.
    """
    bits = tensor.detach().view(torch.int16) if tensor.dtype is torch.bfloat16 else tensor.detach()
    return np.ascontiguousarray(bits.numpy()).ravel()


def _metadata_checksum(metadata: Mapping[str, str]) -> str:
    others = {name: text for name, text in metadata.items() if name != CHECKSUMS}
    return _digits(zlib.crc32(json.dumps(others, sort_keys=True).encode()))


def _digits(value: int) -> str:
    return f"{value:08x}"


def _kind(path: Path, name: str, part: Any) -> TensorKind:
    """Of a tensor that is opened and not read."""
    if part.get_dtype() not in _DTYPES:
        what = in_one_line(name, REASON)
        raise UnreadableFile(f"{path}: {what} has a type that is not used here, {part.get_dtype()}")
    return TensorKind(_DTYPES[part.get_dtype()], tuple(part.get_shape()))


def _foreign(path: Path) -> str | None:
    """What else a file is, by its first bytes."""
    with open(path, "rb") as file:
        start = file.read(64)
    if len(start) > 8 and start[8:9] != b"{" and start.isascii() and start.decode().replace("\n", " ").isprintable():
        return "it is a text"
    return next((what for begin, what in _FOREIGN.items() if start.startswith(begin)), None)
