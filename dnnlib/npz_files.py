"""Arrays from .npz files that anybody may have written: no objects, in bounded memory, refused in one line."""

import io
import math
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np

from dnnlib.errors import UserError
from dnnlib.json_files import open_regular

_ENCRYPTED = 1  # bit of a zip entry's flags
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # of numpy; others can unpack to any size in memory
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: str | Path, limit: int, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a .npz file by their names; `names`: only these, as far as they are there.

    Raises UserError when it cannot be read, is damaged, has one name twice, holds Python objects, or when it or its
    arrays have more than `limit` bytes; memory is taken for what is really there only.
    """
    with open_regular(path, limit) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                entries = _entries(archive, limit)
                return {name: _array(archive, entries[name]) for name in entries if names is None or name in names}
        except Exception as error:  # zipfile and numpy raise nearly every kind when they meet a damaged file
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise UserError(f"{path}: not a readable .npz file ({reason})") from error


def _entries(archive: zipfile.ZipFile, limit: int) -> dict[str, zipfile.ZipInfo]:
    found = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if len(found) < len(archive.infolist()):
        raise ValueError("one name is there twice")
    if sum(info.file_size for info in found.values()) > limit:
        raise ValueError(f"its arrays have more than {limit:,} bytes")
    return found


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
        raise ValueError(f"'{info.filename[:40]}' is encrypted, or packed as numpy does not do it")
    data = archive.read(info)
    stream = io.BytesIO(data)
    read_header = _HEADERS.get(np.lib.format.read_magic(stream))
    if read_header is None:
        raise ValueError(f"'{info.filename[:40]}' is of a version for arrays with named fields")
    shape, by_columns, dtype = read_header(stream)
    count, start = math.prod(shape), stream.tell()
    if dtype.hasobject or dtype.fields:
        raise ValueError(f"'{info.filename[:40]}' holds Python objects or named fields")
    if count * dtype.itemsize != len(data) - start:
        raise ValueError(f"'{info.filename[:40]}' has {len(data) - start} bytes of data, not those of its shape")
    values = np.frombuffer(data, dtype, count, start) if len(data) > start else np.empty(count, dtype)
    return values.reshape(shape, order="F" if by_columns else "C").copy()
