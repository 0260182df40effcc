"""The values that a network pickle may ask for: records of modules, tensors, numbers. All else is refused.

The names are compared with a short list; none is ever imported. A "persistent" object of the reference carries its
class's whole source text, meant to be run when it is loaded: here the text is dropped unread.
"""

import struct
from dataclasses import dataclass, field
from typing import Any

from dnnlib.pickle_interpreter import Dictionary, NotPlain, fill
from interop.pickles.storages import StoredTensor, read_storage, view

_PERSISTENT = ("torch_utils.persistence", "_reconstruct_persistent_obj")
_DICTIONARIES = {("collections", "OrderedDict"), ("dnnlib.util", "EasyDict"), ("dnnlib", "EasyDict")}
_SETS = {("builtins", "set"), ("__builtin__", "set"), ("builtins", "frozenset"), ("__builtin__", "frozenset")}
_PARAMETER, _TENSOR = ("torch._utils", "_rebuild_parameter"), ("torch._utils", "_rebuild_tensor_v2")
_STORAGE = ("torch.storage", "_load_from_bytes")
_SCALARS = {("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")}
_DTYPE, _SIZE = ("numpy", "dtype"), ("torch", "Size")
_MODULES = {  # of torch, pickled as they are
    ("torch.nn.modules.container", "Sequential"),
    ("torch.nn.modules.activation", "LeakyReLU"),
    ("torch.nn.modules.instancenorm", "InstanceNorm2d"),
}
_NAMES = _DICTIONARIES | _SETS | _SCALARS | _MODULES | {_PERSISTENT, _PARAMETER, _TENSOR, _STORAGE, _DTYPE, _SIZE}
_PAIR = 16  # bytes of the file that a key and its value take at least, together with their tuple
_NUMBERS = {"f8": "<d", "f4": "<f", "i8": "<q", "i4": "<i", "u8": "<Q", "u4": "<I", "i2": "<h", "u1": "<B", "i1": "<b",
            "b1": "<?"}  # fmt: skip


@dataclass(frozen=True)
class Name:
    """A class or function that the file names."""

    module: str
    name: str

    @property
    def pair(self) -> tuple[str, str]:
        return self.module, self.name


@dataclass(eq=False)
class Module:
    """A module of the file: the name of its class, and its attributes."""

    class_name: str
    state: Dictionary = field(default_factory=Dictionary)


@dataclass(eq=False)
class _NumberType:
    code: str


class Values:
    """What the calls of a file give (machine.Calls). `most`: bytes of all tensors together, if they were copied."""

    def __init__(self, most: int):
        self._left = most

    def name(self, module: str, name: str) -> Name:
        if (module, name) not in _NAMES:
            raise NotPlain(f"it refers to {f'{module}.{name}'[:80]!r}, which is no part of a network")
        return Name(module, name)

    def call(self, function: Any, arguments: tuple) -> Any:
        pair = function.pair if isinstance(function, Name) else None
        if pair == _PERSISTENT and len(arguments) == 1:
            return _persistent(arguments[0])
        if pair == _STORAGE and len(arguments) == 1:
            return read_storage(arguments[0])
        if pair == _TENSOR and len(arguments) in (6, 7):
            return self._tensor(*arguments[:4])
        if pair == _PARAMETER and len(arguments) == 3 and isinstance(arguments[0], StoredTensor):
            return arguments[0]
        if pair in _DICTIONARIES and len(arguments) <= 1:
            return self._dictionary(*arguments)
        if pair in _SETS and len(arguments) == 1 and type(arguments[0]) is list:
            return arguments[0]
        if pair == _SIZE and len(arguments) == 1 and isinstance(arguments[0], tuple):
            return arguments[0]
        return _number(pair, arguments)

    def new(self, kind: Any, arguments: tuple) -> Any:
        pair = kind.pair if isinstance(kind, Name) else None
        if pair in _DICTIONARIES and not arguments:
            return Dictionary()
        if pair in _MODULES and not arguments:
            return Module(kind.name)
        raise NotPlain("it makes an object that is no part of a network")

    def build(self, target: Any, state: Any) -> None:
        if isinstance(target, Module) and isinstance(state, Dictionary):
            target.state = state
        elif not isinstance(target, _NumberType):  # a type of number: all that matters was in its making
            raise NotPlain("it sets the state of something that is no module")

    def persistent(self, identity: Any) -> Any:
        raise NotPlain("it refers to something outside of itself")

    def _dictionary(self, pairs: Any = None) -> Dictionary:
        """OrderedDict(), or OrderedDict([(key, value), ...]) as Python 2 wrote it."""
        if pairs is None or isinstance(pairs, Dictionary):
            return Dictionary() if pairs is None else pairs
        if type(pairs) is not list or any(not isinstance(pair, tuple | list) or len(pair) != 2 for pair in pairs):
            raise NotPlain("a dictionary is made in a way that is not understood")
        self._spend(len(pairs) * _PAIR)
        return fill(Dictionary(), [item for pair in pairs for item in pair])

    def _spend(self, size: int) -> None:
        """Count what is made again of what the file holds once."""
        self._left -= size
        if self._left < 0:
            raise NotPlain("its tensors and dictionaries are larger than the file")

    def _tensor(self, storage: Any, offset: Any, shape: Any, strides: Any) -> StoredTensor:
        found = view(storage, offset, shape, strides)
        self._spend(found.elements * found.data.itemsize)
        return found


def _persistent(about: Any) -> Module:
    if not isinstance(about, Dictionary):
        raise NotPlain("a module is not described by a dictionary")
    kind, name, state = about.get("type"), about.get("class_name"), about.get("state")
    if kind != "class" or not isinstance(name, str) or not isinstance(state, Dictionary):
        raise NotPlain("a module's description is not understood")
    if about.get("version") not in (1, 2, 3, 4, 5, 6):
        raise NotPlain("a module's description is of a version that is not known")
    return Module(name[:80], state)


def _number(pair: tuple[str, str] | None, arguments: tuple) -> Any:
    """NumPy's numbers: a type, and the number's bytes."""
    if pair == _DTYPE and len(arguments) == 3 and type(arguments[0]) is str and arguments[0] in _NUMBERS:
        return _NumberType(arguments[0])
    if pair in _SCALARS and len(arguments) == 2 and isinstance(arguments[0], _NumberType):
        form, data = _NUMBERS[arguments[0].code], arguments[1]
        if isinstance(data, bytes) and len(data) == struct.calcsize(form):
            return struct.unpack(form, data)[0]
    what = "something that is no function" if pair is None else ".".join(pair)
    raise NotPlain(f"it calls {what} with arguments that no network needs")
