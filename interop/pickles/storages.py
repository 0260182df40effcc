"""The numbers of a tensor: one storage, as torch.save wrote it before there were zip files, and views of it.

Five pickles follow one another: a magic number, a version, facts of the machine, the storage's identity, the list of
storages. Then come eight bytes with the number of elements, and these. Nothing is allocated by what a stream says of
itself: the numbers are a part of the file, and what is made of them is compared with its length first.
"""

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dnnlib.pickle_interpreter import Dictionary, NotPlain, load

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_MOST_STEPS, _LONGEST_HEAD = 200, 4096  # of each of the five pickles; bytes of them together
_MOST_DIMENSIONS = 8

# What torch calls a storage: (NumPy's type of its elements in a file, torch's type).
_TYPES = {
    "FloatStorage": ("<f4", torch.float32),
    "DoubleStorage": ("<f8", torch.float64),
    "HalfStorage": ("<f2", torch.float16),
    "BFloat16Storage": ("<i2", torch.bfloat16),
    "LongStorage": ("<i8", torch.int64),
    "IntStorage": ("<i4", torch.int32),
    "ShortStorage": ("<i2", torch.int16),
    "CharStorage": ("i1", torch.int8),
    "ByteStorage": ("u1", torch.uint8),
    "BoolStorage": ("?", torch.bool),
}


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A view of a storage: all that a file says of a tensor, checked, and no tensor yet."""

    data: np.ndarray  # [elements of the storage]
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    def tensor(self) -> Tensor:
        """A copy, contiguous."""
        strides = tuple(stride * self.data.itemsize for stride in self.strides)
        view = np.lib.stride_tricks.as_strided(self.data[self.offset :], self.shape, strides, writeable=False)
        copied = torch.from_numpy(np.array(view, order="C"))
        return copied.view(torch.bfloat16) if self.dtype is torch.bfloat16 else copied


@dataclass(frozen=True, eq=False)
class Storage:
    data: np.ndarray
    dtype: torch.dtype


def read_storage(data: Any) -> Storage:
    """Of the bytes of such a stream. Raises NotPlain when they are anything else."""
    if not isinstance(data, bytes):
        raise NotPlain("a tensor's numbers are no bytes")
    file, calls = io.BytesIO(data[:_LONGEST_HEAD]), _OnlyIdentities()
    magic, version, system = (load(file, calls, _MOST_STEPS) for _ in range(3))
    if type(magic) is not int or magic != _MAGIC or type(version) is not int or version != _VERSION:
        raise NotPlain("a tensor's numbers are stored in a way that is not known")
    if not isinstance(system, Dictionary) or system.get("little_endian") is not True:
        raise NotPlain("a tensor's numbers are in another byte order")
    identity = load(file, calls, _MOST_STEPS)
    if not isinstance(identity, _Identity):
        raise NotPlain("a tensor's numbers have no identity")
    keys = load(file, calls, _MOST_STEPS)
    if type(keys) is not list or len(keys) != 1:
        raise NotPlain("a tensor's numbers are not in one piece")
    return _storage(identity, data, file.tell())


def _storage(identity: "_Identity", data: bytes, start: int) -> Storage:
    """The elements behind `start`, where their number is."""
    kind, dtype = _TYPES[identity.kind]
    count = int.from_bytes(data[start : start + 8], "little")
    there = len(data) - start - 8
    if there < 0 or count != identity.count or count * np.dtype(kind).itemsize != there:
        raise NotPlain(f"a tensor claims {identity.count:,} numbers, but its bytes hold another number of them")
    return Storage(np.frombuffer(data, kind, count, start + 8), dtype)


def view(storage: Any, offset: Any, shape: Any, strides: Any) -> StoredTensor:
    """A tensor within a storage. Raises NotPlain when it would reach beyond it, or be larger than it."""
    sizes = ((offset,), shape, strides)
    if not isinstance(storage, Storage) or not all(map(_are_sizes, sizes)):
        raise NotPlain("a tensor's shape is not understood")
    if len(shape) != len(strides) or len(shape) > _MOST_DIMENSIONS:
        raise NotPlain("a tensor's strides do not fit its shape")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    there = storage.data.size
    if math.prod(shape) > there or offset > there or (0 not in shape and last >= there):
        raise NotPlain("a tensor reaches beyond its numbers")
    return StoredTensor(storage.data, storage.dtype, offset, shape, strides)


def _are_sizes(values: Any) -> bool:
    return isinstance(values, tuple) and all(type(value) is int and 0 <= value < 1 << 48 for value in values)


@dataclass(frozen=True)
class _Identity:
    kind: str
    count: int


@dataclass(frozen=True)
class _Kind:
    name: str


class _OnlyIdentities:
    """What the five small pickles may ask for: names of storages, and the identity of one."""

    def name(self, module: str, name: str) -> _Kind:
        if module != "torch" or name not in _TYPES:
            raise NotPlain(f"a tensor's numbers refer to {f'{module}.{name}'[:80]!r}")
        return _Kind(name)

    def persistent(self, identity: Any) -> _Identity:
        if not isinstance(identity, tuple) or len(identity) != 6:
            raise NotPlain("a tensor's numbers have an identity that is not understood")
        word, kind, _key, _device, count, part = identity
        if type(word) is not str or word != "storage" or not isinstance(kind, _Kind) or part is not None:
            raise NotPlain("a tensor's numbers have an identity that is not understood")
        if type(count) is not int or count < 0:
            raise NotPlain("a tensor's numbers have an identity that is not understood")
        return _Identity(kind.name, count)

    def call(self, function: Any, arguments: tuple) -> Any:
        raise NotPlain("a tensor's numbers call something")

    def new(self, kind: Any, arguments: tuple) -> Any:
        raise NotPlain("a tensor's numbers make an object")

    def build(self, target: Any, state: Any) -> None:
        raise NotPlain("a tensor's numbers set a state")
