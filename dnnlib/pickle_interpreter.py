"""The opcodes of a pickle, interpreted instead of unpickled: protocols 0 to 5, without those that only programs need.

Python's unpickler makes whatever objects a file asks for, and an allow-list does not help against their `__setstate__`.
Here names and calls in a file go to `Calls`, which answer for the few that files of a kind hold and refuse the others.

Memory and time are in proportion to the file: every opcode makes at most one small object, and there is a limit on how
many there are; texts and bytes are parts of the file. Keys of dictionaries are plain, because the hash of a tuple that
holds another one twice, which holds another one twice, takes for ever; values are never compared or printed.
"""

import codecs
import pickletools
from collections.abc import Callable
from typing import IO, Any, BinaryIO, Protocol, cast

MOST_OPCODES = 1_000_000  # ten times as many as a generator and a discriminator of 1024x1024 take
LONGEST_LINE = 1 << 16  # bytes, of the opcodes that are written as text

_NUMBERS = {"INT", "LONG", "LONG1", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"}
_TEXTS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_BYTES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_LITERALS = _NUMBERS | _TEXTS | _BYTES
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS, _GETS = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")
_IGNORED = {"PROTO", "FRAME"}
KEYS = (str, bytes, bool, int, float, type(None))
_MARK = object()


codecs.lookup("raw-unicode-escape")  # of texts in old pickles: found now, so that no file causes an import


class NotPlain(ValueError):
    """A pickle that is damaged, or asks for something that its kind does not need; the message says what."""


class Dictionary(dict):
    """A dictionary of the file, of whatever class there (OrderedDict, EasyDict)."""


class Calls(Protocol):
    """What a file's calls give. Each raises NotPlain for what is not foreseen; none runs anything of the file's."""

    def name(self, module: str, name: str) -> Any:
        """Something for a class or function that the file names."""

    def call(self, function: Any, arguments: tuple) -> Any:
        """What function(*arguments) gives."""

    def new(self, kind: Any, arguments: tuple) -> Any:
        """A new object of a class."""

    def build(self, target: Any, state: Any) -> None:
        """Set the state of an object."""

    def persistent(self, identity: Any) -> Any:
        """What is stored elsewhere under an identity."""


class Bounded:
    """A file whose reads never allocate more than is left of it, whatever length an opcode claims."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        here = file.tell()
        self._end = file.seek(0, 2)
        file.seek(here)

    def read(self, count: int) -> bytes:
        return self._file.read(max(0, min(count, self._end - self._file.tell())))

    def readline(self) -> bytes:
        return self._file.readline(LONGEST_LINE)

    def tell(self) -> int:
        return self._file.tell()


def load(
    file: BinaryIO, calls: Calls, most: int = MOST_OPCODES, protocol: int = 5, keys: tuple[type, ...] = KEYS
) -> Any:
    """The value of one pickle; `file` stands behind it afterwards.

    None, bool, int, float, str, bytes, tuple, list (sets, too), Dictionary, and what `calls` makes. Raises NotPlain,
    also for more than `most` opcodes, for those of a later protocol, and for keys of dictionaries of other types.
    """
    machine = _Machine(calls, keys)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], Bounded(file)))):
            if opcode.name == "STOP":
                return machine.pop()
            if count >= most:
                raise NotPlain(f"it has more than {most:,} steps, which no file of its kind needs")
            if opcode.proto > protocol:
                raise _unneeded(opcode.name)
            machine.step(opcode.name, argument)
    except NotPlain:
        raise
    except (ValueError, OverflowError, UnicodeError, IndexError) as error:
        raise NotPlain(f"its pickle is damaged ({error})") from error
    raise NotPlain("its pickle is cut short")


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(self, calls: Calls, keys: tuple[type, ...]):
        self._calls, self._keys = calls, keys
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._actions: dict[str, Callable[[], object]] = {
            "EMPTY_LIST": lambda: self._push([]),
            "EMPTY_SET": lambda: self._push([]),
            "EMPTY_DICT": lambda: self._push(Dictionary()),
            "MARK": lambda: self._push(_MARK),
            "POP": lambda: self._stack.pop(),
            "POP_MARK": lambda: self._pop_to_mark(),
            "TUPLE": lambda: self._push(tuple(self._pop_to_mark())),
            "LIST": lambda: self._push(self._pop_to_mark()),
            "FROZENSET": lambda: self._push(self._pop_to_mark()),
            "DICT": lambda: self._push(fill(Dictionary(), self._pop_to_mark(), self._keys)),
            "APPEND": lambda: self._extend([self.pop()]),
            "APPENDS": lambda: self._extend(self._pop_to_mark()),
            "ADDITEMS": lambda: self._extend(self._pop_to_mark()),
            "SETITEM": lambda: self._update(self._pop_several(2)),
            "SETITEMS": lambda: self._update(self._pop_to_mark()),
            "MEMOIZE": lambda: self._remember(len(self._memo)),
            "STACK_GLOBAL": self._named_on_stack,
            "REDUCE": lambda: self._push(self._calls.call(*self._function_and_arguments())),
            "NEWOBJ": lambda: self._push(self._calls.new(*self._function_and_arguments())),
            "BUILD": self._build,
            "BINPERSID": lambda: self._push(self._calls.persistent(self.pop())),
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
            self._remember(argument)
        elif name in _GETS:
            self._push(self._remembered(argument))
        elif name == "GLOBAL":
            self._push(self._calls.name(*argument.split(" ", 1)))
        elif name in self._actions:
            self._actions[name]()
        elif name not in _IGNORED:
            raise _unneeded(name)

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

    def _remember(self, key: int) -> None:
        self._memo[key] = self._top()

    def _remembered(self, key: int) -> Any:
        if key not in self._memo:
            raise NotPlain("its pickle is damaged (it refers to a value that is not there)")
        return self._memo[key]

    def _extend(self, items: list[Any]) -> None:
        if type(self._top()) is not list:
            raise NotPlain("its pickle is damaged (values for a list that is none)")
        self._top().extend(items)

    def _update(self, items: list[Any]) -> None:
        if type(self._top()) is not Dictionary:
            raise NotPlain("its pickle is damaged (values for a dictionary that is none)")
        fill(self._top(), items, self._keys)

    def _named_on_stack(self) -> None:
        module, name = self._pop_several(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise NotPlain("its pickle is damaged (a name that is no text)")
        self._push(self._calls.name(module, name))

    def _function_and_arguments(self) -> list[Any]:
        function, arguments = self._pop_several(2)
        if not isinstance(arguments, tuple):
            raise NotPlain("its pickle is damaged (a call without arguments)")
        return [function, arguments]

    def _build(self) -> None:
        state = self.pop()
        self._calls.build(self._top(), state)


def _unneeded(opcode: str) -> NotPlain:
    return NotPlain(f"its pickle uses the opcode {opcode}, which files of its kind do not need")


def fill(target: Dictionary, items: list[Any], keys: tuple[type, ...] = KEYS) -> Dictionary:
    """Enter keys and values, which take turns in `items`. Raises NotPlain for a key of none of the types `keys`."""
    if len(items) % 2:
        raise NotPlain("its pickle is damaged (a key without a value)")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) not in keys:
            numbers = " and no number" if int in keys else ""
            raise NotPlain(f"a dictionary's key is no text{numbers}")
        target[key] = value
    return target
