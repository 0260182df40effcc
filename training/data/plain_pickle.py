"""Pickles that hold nothing but plain data and arrays of bytes, read without unpickling.

Python's unpickler makes whatever objects a file asks for, and an allow-list does not help against their `__setstate__`.
Here the opcodes are interpreted instead, as far as protocol 2 needs them for lists, dictionaries, numbers, texts and
NumPy arrays of uint8. Names of functions in the file are compared with the few that such files hold; none is called.
"""

import math
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")  # of NumPy 1, of NumPy 2
_RECONSTRUCT = frozenset(f"{module} _reconstruct" for module in _ARRAY_MODULES)
_ARRAY, _DTYPE, _ENCODE, _BYTES = "numpy ndarray", "numpy dtype", "_codecs encode", "__builtin__ bytes"
_NAMES = _RECONSTRUCT | {_ARRAY, _DTYPE, _ENCODE, _BYTES}
_UINT8 = "u1"
_UINT8_STATE = (3, "|", None, None, None, -1, -1, 0)  # version, byte order, no fields, no alignment, no flags
_MAX_DIMENSIONS = 4

_NUMBERS = frozenset({"INT", "LONG", "LONG1", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"})
_LITERALS = _NUMBERS | {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS, _GETS = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")
_MARK = object()


class NotPlain(ValueError):
    """A pickle that is damaged, or holds something else than plain data; the message says what."""


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
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, argument)
    except NotPlain:
        raise
    except (ValueError, OverflowError) as error:
        raise NotPlain(f"its pickle is damaged ({error})") from error
    raise NotPlain("its pickle is cut short")


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(self):
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._actions: dict[str, Callable[[], None]] = {
            "EMPTY_LIST": lambda: self._push([]),
            "EMPTY_DICT": lambda: self._push({}),
            "MARK": lambda: self._push(_MARK),
            "TUPLE": lambda: self._push(tuple(self._pop_to_mark())),
            "LIST": lambda: self._push(self._pop_to_mark()),
            "DICT": lambda: self._push(_filled({}, self._pop_to_mark())),
            "APPEND": lambda: self._extend([self.pop()]),
            "APPENDS": lambda: self._extend(self._pop_to_mark()),
            "SETITEM": lambda: self._update(self._pop_several(2)),
            "SETITEMS": lambda: self._update(self._pop_to_mark()),
            "REDUCE": self._reduce,
            "BUILD": self._build,
        }

    def step(self, name: str, argument: Any) -> None:
        """Do what one opcode says."""
        if name in _LITERALS:
            self._push(argument)
        elif name in _CONSTANTS:
            self._push(_CONSTANTS[name])
        elif name in _SHORT_TUPLES:
            self._push(tuple(self._pop_several(_SHORT_TUPLES[name])))
        elif name in _PUTS:
            self._memo[argument] = self._top()
        elif name in _GETS:
            self._push(self._remembered(argument))
        elif name == "GLOBAL":
            self._push(_Name(argument))
        elif name in self._actions:
            self._actions[name]()
        elif name != "PROTO":
            raise NotPlain(f"its pickle uses the opcode {name}, which plain data does not need")

    def pop(self) -> Any:
        """The topmost value, taken off."""
        self._top()
        return self._stack.pop()

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise NotPlain("its pickle is damaged (a value is missing)")
        return self._stack[-1]

    def _pop_several(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(count)][::-1]

    def _pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while self._stack:
            value = self._stack.pop()
            if value is _MARK:
                return items[::-1]
            items.append(value)
        raise NotPlain("its pickle is damaged (a mark is missing)")

    def _remembered(self, key: int) -> Any:
        if key not in self._memo:
            raise NotPlain("its pickle is damaged (it refers to a value that is not there)")
        return self._memo[key]

    def _extend(self, items: list[Any]) -> None:
        if type(self._top()) is not list:
            raise NotPlain("its pickle is damaged (values for a list that is none)")
        self._top().extend(items)

    def _update(self, items: list[Any]) -> None:
        if type(self._top()) is not dict:
            raise NotPlain("its pickle is damaged (values for a dictionary that is none)")
        _filled(self._top(), items)

    def _reduce(self) -> None:
        function, arguments = self._pop_several(2)
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise NotPlain("its pickle is damaged (a call of something that is no function)")
        self._push(_made(function.text, arguments))

    def _build(self) -> None:
        state, target = self.pop(), self._top()
        if not isinstance(target, PlainArray | _Uint8):
            raise NotPlain("it sets the state of something that is no array")
        target.fill(state)


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


def _filled(target: dict, items: list[Any]) -> dict:
    if len(items) % 2:
        raise NotPlain("its pickle is damaged (a key without a value)")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str | bytes):
            raise NotPlain("a dictionary's key is no text")
        target[key] = value
    return target


def _is_shape(shape: Any) -> bool:
    return (
        isinstance(shape, tuple)
        and 1 <= len(shape) <= _MAX_DIMENSIONS
        and all(type(side) is int and 0 <= side < 1 << 31 for side in shape)
    )
