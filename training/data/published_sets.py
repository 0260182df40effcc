"""The published forms of LSUN (LMDB), CIFAR-10 (pickles in a tar) and MNIST (IDX files)."""

import gzip
import io
import pickle
import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from dnnlib.errors import UserError

_CIFAR_SHAPE = (-1, 3, 32, 32)
_IDX_IMAGES, _IDX_LABELS = 0x803, 0x801  # first word: uint8 data of 3 dimensions, and of 1
_MNIST_PADDING = 2  # 28 -> 32


class Lmdb:
    """Values of an LMDB folder by position in key order; in LSUN each is an encoded image."""

    def __init__(self, path: Path, limit: int | None = None):
        """Raises UserError when the lmdb package is missing, or the folder is damaged or empty."""
        try:
            import lmdb
        except ImportError as error:
            raise UserError(f"{path}: reading LMDB needs the lmdb package: pip install lmdb") from error
        try:
            environment = lmdb.open(str(path), readonly=True, lock=False, readahead=False, create=False)
            self._transaction = environment.begin(buffers=False)
            self.keys = self._first_keys(limit)
        except lmdb.Error as error:
            raise UserError(f"{path} cannot be read as an LMDB database: {error}") from error
        if not self.keys:
            raise UserError(f"{path} is an LMDB database without entries")

    def read(self, index: int) -> bytes:
        """The bytes of entry `index`."""
        return self._transaction.get(self.keys[index])

    def _first_keys(self, limit: int | None) -> list[bytes]:
        pairs = zip(range(limit), self._all_keys(), strict=False) if limit else enumerate(self._all_keys())
        return [key for _, key in pairs]

    def _all_keys(self):
        return self._transaction.cursor().iternext(keys=True, values=False)


def read_cifar10(path: Path) -> tuple[np.ndarray, list[int], list[str] | None]:
    """The training images uint8 [N, 32, 32, 3], labels and class names of cifar-10-python.tar.gz.

    Raises UserError when the archive is damaged or something else.
    """
    try:
        members = _read_members(path)
        batches = [_load_arrays(members[name]) for name in sorted(members) if name.startswith("data_batch_")]
        pixels = np.concatenate([batch["data"].reshape(_CIFAR_SHAPE) for batch in batches])
        labels = [int(label) for batch in batches for label in batch["labels"]]
        names = _load_arrays(members["batches.meta"])["label_names"] if "batches.meta" in members else None
    except (tarfile.TarError, OSError, EOFError, zlib.error, pickle.UnpicklingError, KeyError, ValueError,
            AttributeError, TypeError) as error:
        raise UserError(f"{path} is no complete CIFAR-10 archive (python version): {error}") from error
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)), labels, names


def read_mnist(path: Path) -> tuple[np.ndarray, list[int] | None]:
    """Images uint8 [N, 32, 32], padded with black from 28x28, and the labels from the file beside them.

    Labels are None when there is no such file. Raises UserError when a file is damaged or the counts differ.
    """
    pixels = np.pad(_read_idx(path, _IDX_IMAGES), [(0, 0), (_MNIST_PADDING,) * 2, (_MNIST_PADDING,) * 2])
    labels_path = mnist_labels_path(path)
    if not labels_path.exists():
        return pixels, None
    labels = _read_idx(labels_path, _IDX_LABELS)
    if len(labels) != len(pixels):
        raise UserError(f"{labels_path} holds {len(labels)} labels for the {len(pixels)} images of {path}")
    return pixels, labels.tolist()


def mnist_labels_path(images_path: Path) -> Path:
    """Where the labels for an image file are."""
    return images_path.with_name(images_path.name.replace("-images-idx3-", "-labels-idx1-"))


def _read_idx(path: Path, magic: int) -> np.ndarray:
    """A big-endian header (magic number, one size per dimension), then uint8 data."""
    try:
        data = gzip.decompress(path.read_bytes())
        dimensions = magic & 0xFF
        found, *shape = struct.unpack_from(f">{dimensions + 1}I", data)
        if found != magic:
            raise UserError(f"{path} is no MNIST file: it starts with {found:#x}, not {magic:#x}")
        return np.frombuffer(data, np.uint8, offset=4 * (dimensions + 1)).reshape(shape)
    except UserError:
        raise
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise UserError(f"{path} is damaged: {error}") from error


def _read_members(path: Path) -> dict[str, bytes]:
    """The files of a tar.gz by their last name."""
    with tarfile.open(path, "r:gz") as archive:
        return {Path(member.name).name: archive.extractfile(member).read() for member in archive if member.isfile()}


class _ArrayUnpickler(pickle.Unpickler):
    """Rebuilds NumPy arrays and plain data, and nothing else: an archive must not be able to run code."""

    _ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
    _ALLOWED = {
        **{(module, "_reconstruct"): np.empty(0).__reduce__()[0] for module in _ARRAY_MODULES},
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): lambda text, encoding: text.encode(encoding),
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which is not data") from None


def _load_arrays(data: bytes) -> dict[str, Any]:
    # Written by Python 2, whose strings are bytes: latin1 maps each to itself.
    content = _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
    return {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}
