"""The published forms of CIFAR-10 (pickles in a tar) and MNIST (IDX files)."""

import math
import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from dnnlib.errors import REASON, UserError, in_one_line
from dnnlib.pickle_interpreter import NotPlain
from dnnlib.words import counted
from training.data.bounded import BoundedGzip, read_at_most
from training.data.plain_pickle import PlainArray, load_plain

_CIFAR_SHAPE, _CIFAR_VALUES = (-1, 3, 32, 32), 3072
_CIFAR_BATCH, _CIFAR_META = "data_batch_", "batches.meta"
_CIFAR_LIMIT = 1 << 28  # bytes unpacked; the published archive has 186 million
_IDX_IMAGES, _IDX_LABELS = 0x803, 0x801  # first word: uint8 data of 3 dimensions, and of 1
_MNIST_SIDE, _MNIST_PADDING = 28, 2  # 28 -> 32
_IDX_LIMIT = 1 << 30  # bytes unpacked; MNIST has 47 million, the largest set of its kind 640


def read_cifar10(path: Path) -> tuple[np.ndarray, list[int], list[str] | None]:
    """The training images uint8 [N, 32, 32, 3], labels and class names of cifar-10-python.tar.gz.

    Nothing in the archive is unpickled. Raises UserError when the archive is damaged or something else.
    """
    try:
        members = _read_members(path)
        batches = [_cifar_batch(name, members[name]) for name in sorted(members) if name.startswith(_CIFAR_BATCH)]
        if not batches:
            raise NotPlain(f"it holds no {_CIFAR_BATCH}1")
        names = _cifar_names(members[_CIFAR_META]) if _CIFAR_META in members else None
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError, RecursionError) as error:
        why = in_one_line(error, REASON)
        raise UserError(f"{path} is no complete CIFAR-10 archive (python version): {why}") from error
    pixels = np.concatenate([pixels for pixels, _ in batches])
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)), [label for _, some in batches for label in some], names


def read_mnist(path: Path) -> tuple[np.ndarray, list[int] | None]:
    """Images uint8 [N, 32, 32], padded with black from 28x28, and the labels from the file beside them.

    Labels are None when there is no such file. Raises UserError when a file is damaged or the counts differ.
    """
    small = _read_idx(path, _IDX_IMAGES, (_MNIST_SIDE,) * 2)
    pixels = np.pad(small, [(0, 0), (_MNIST_PADDING,) * 2, (_MNIST_PADDING,) * 2])
    labels_path = mnist_labels_path(path)
    if not labels_path.is_file():
        return pixels, None
    labels = _read_idx(labels_path, _IDX_LABELS, ())
    if len(labels) != len(pixels):
        raise UserError(
            f"{labels_path} holds {counted(len(labels), 'label')} for {counted(len(pixels), 'image')} of {path}"
        )
    return pixels, labels.tolist()


def mnist_labels_path(images_path: Path) -> Path:
    """Where the labels for an image file are."""
    return images_path.with_name(images_path.name.replace("-images-idx3-", "-labels-idx1-"))


def _read_idx(path: Path, magic: int, sides: tuple[int, ...]) -> np.ndarray:
    """A big-endian header (magic number, one size per dimension), then uint8 data [N, *sides]."""
    try:
        with BoundedGzip(path, _IDX_LIMIT) as file:
            found, count, *shape = struct.unpack(header := f">{2 + len(sides)}I", file.read(struct.calcsize(header)))
            if found != magic:
                raise UserError(f"{path} is no MNIST file: it starts with {found:#x}, not {magic:#x}")
            if tuple(shape) != sides:
                raise UserError(f"{path} holds images of {shape[1]}x{shape[0]}; those of MNIST are 28x28")
            size = count * math.prod(sides)
            data = read_at_most(file, min(size, _IDX_LIMIT))
    except UserError:
        raise
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise UserError(f"{path} is damaged: {in_one_line(error, REASON)}") from error
    if len(data) != size:
        raise UserError(f"{path} is damaged: it holds {len(data)} bytes of the {size} that its start announces")
    return np.frombuffer(data, np.uint8).reshape(count, *sides)


def _read_members(path: Path) -> dict[str, bytes]:
    """The files of the archive that are of use, by their last name."""
    members = {}
    with BoundedGzip(path, _CIFAR_LIMIT) as file, tarfile.open(fileobj=file, mode="r|") as archive:
        for member in archive:
            name = Path(member.name).name
            if member.isfile() and (name.startswith(_CIFAR_BATCH) or name == _CIFAR_META):
                content = archive.extractfile(member)
                members[name] = b"" if content is None else content.read()
    return members


def _cifar_batch(name: str, data: bytes) -> tuple[np.ndarray, list[int]]:
    """Images uint8 [N, 3, 32, 32] and labels of one file of the archive. Raises ValueError when it holds others."""
    content = _load_dictionary(name, data)
    pixels, labels = content.get("data"), content.get("labels")
    shape = list(pixels.value.shape) if isinstance(pixels, PlainArray) else []
    if not isinstance(pixels, PlainArray) or shape[1:] != [_CIFAR_VALUES]:
        raise ValueError(f'{name}: "data" is no array of rows of {_CIFAR_VALUES} bytes')
    if not isinstance(labels, list) or any(type(label) is not int or not 0 <= label < 10 for label in labels):
        raise ValueError(f'{name}: "labels" is no list of whole numbers from 0 to 9')
    if len(labels) != len(pixels.value):
        raise ValueError(f"{name}: {counted(len(labels), 'label')} for {counted(len(pixels.value), 'image')}")
    return pixels.value.reshape(_CIFAR_SHAPE), labels


def _cifar_names(data: bytes) -> list[str]:
    names = _load_dictionary(_CIFAR_META, data).get("label_names")
    if not isinstance(names, list) or len(names) != 10 or not all(isinstance(name, str | bytes) for name in names):
        raise ValueError(f'{_CIFAR_META}: "label_names" is no list of 10 names')
    return [name.decode("latin1") if isinstance(name, bytes) else name for name in names]


def _load_dictionary(name: str, data: bytes) -> dict[str, Any]:
    try:
        content = load_plain(data)
    except NotPlain as error:
        raise NotPlain(f"{name}: {error}") from error
    if not isinstance(content, dict):
        raise NotPlain(f"{name}: it holds no dictionary")
    return {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in content.items()}
