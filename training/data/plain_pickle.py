"""Pickles that hold nothing but plain data and arrays of bytes, read without unpickling.

The opcodes are interpreted (dnnlib/pickle_interpreter.py), as far as protocol 2 has them: lists, dictionaries,
numbers, texts and NumPy arrays of uint8. Names of functions in the file are compared with the few such files hold; none
is called.
"""

import math
from io import BytesIO
from typing import Any

import numpy as np

from dnnlib.pickle_interpreter import NotPlain, load

_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")  # of NumPy 1, of NumPy 2
_RECONSTRUCT = frozenset(f"{module} _reconstruct" for module in _ARRAY_MODULES)
_ARRAY, _DTYPE, _ENCODE, _BYTES = "numpy ndarray", "numpy dtype", "_codecs encode", "__builtin__ bytes"
_NAMES = _RECONSTRUCT | {_ARRAY, _DTYPE, _ENCODE, _BYTES}
_UINT8 = "u1"
_UINT8_STATE = (3, "|", None, None, None, -1, -1, 0)  # version, byte order, no fields, no alignment, no flags
_MAX_DIMENSIONS = 4


class PlainArray:
    """An array of the file; `value` is uint8 of at most 4 dimensions, read-only."""

    def __init__(self):
        self.value = np.zeros(0, np.uint8)

    def fill(self, state: Any) -> None:
        """Take shape and bytes from what NumPy stores: (version, shape, type, is Fortran's order, bytes)."""
        if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[2], _Uint8)):
            raise NotPlain("an array is not of the type uint8")
        _, shape, _, is_fortran, data = state
        if is_fortran is not False and is_fortran != 0:
            raise NotPlain("an array is stored column by column")
        data = data.encode("latin1") if isinstance(data, str) else data  # Python 2 has one type for both
        if not isinstance(data, bytes) or not _is_shape(shape) or math.prod(shape) != len(data):
            raise NotPlain("an array's shape does not fit its bytes")
        self.value = np.frombuffer(data, np.uint8).reshape(shape)


class _Uint8:
    """The type of an array."""

    def fill(self, state: Any) -> None:
        if state != _UINT8_STATE:
            raise NotPlain("an array's type has a state that uint8 does not have")


class _Name:
    """A function or class that the file names."""

    def __init__(self, text: str):
        if text not in _NAMES:
            raise NotPlain(f"it refers to {text.replace(' ', '.')[:80]!r}, which is not data")
        self.text = text


def load_plain(data: bytes) -> Any:
    """What the pickle holds: None, bool, int, float, str, bytes, tuple, list, dict and PlainArray.

    Python 2's strings become str by Latin-1, which maps each byte to one character. Takes memory in proportion to the
    length of `data`. Raises NotPlain for everything else, and for what is damaged.
    """
    return load(BytesIO(data), _Calls(), most=len(data), protocol=2, keys=(str, bytes))


class _Calls:
    """What the calls of such a file give; none runs anything of the file's."""

    def name(self, module: str, name: str) -> _Name:
        return _Name(f"{module} {name}")

    def call(self, function: Any, arguments: tuple) -> Any:
        if not isinstance(function, _Name):
            raise NotPlain("its pickle is damaged (a call of something that is no function)")
        return _made(function.text, arguments)

    def new(self, kind: Any, arguments: tuple) -> Any:
        raise NotPlain("it makes an object that is no array")

    def build(self, target: Any, state: Any) -> None:
        if not isinstance(target, PlainArray | _Uint8):
            raise NotPlain("it sets the state of something that is no array")
        target.fill(state)

    def persistent(self, identity: Any) -> Any:
        raise NotPlain("it refers to data that is stored elsewhere")


def _made(function: str, arguments: tuple) -> Any:
    """What the file wants made by a call."""
    if function in _RECONSTRUCT and len(arguments) == 3 and getattr(arguments[0], "text", None) == _ARRAY:
        return PlainArray()
    if function == _DTYPE and len(arguments) == 3 and arguments[0] == _UINT8:
        return _Uint8()
    if function == _ENCODE and len(arguments) == 2 and isinstance(arguments[0], str) and arguments[1] == "latin1":
        return arguments[0].encode("latin1")
    if function == _BYTES and not arguments:
        return b""
    raise NotPlain(f"it calls {function.replace(' ', '.')} with other arguments than arrays of uint8 need")


def _is_shape(shape: Any) -> bool:
    return (
        isinstance(shape, tuple)
        and 1 <= len(shape) <= _MAX_DIMENSIONS
        and all(type(side) is int and 0 <= side < 1 << 31 for side in shape)
    )
