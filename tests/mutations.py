"""Damage of many kinds, from a seed: to bytes, and to the structure of JSON and of zip archives."""

import copy
import io
import os
import random
import resource
import signal
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dnnlib.errors import UserError
from tests.watching import Watch, files_below

COUNT = int(os.environ.get("MUTATIONS", "2000"))  # of each kind
SEED = int(os.environ.get("MUTATIONS_SEED", "0"))  # another one gives others
SECONDS = 20  # after which one counts as hanging
PATIENCE = 10
MEMORY = 1 << 30  # bytes that reading all of them may add to what the process had at most
LONGEST = 1000  # characters of a line
EDGES = [b"\x00", b"\xff", b"\x80", b"\x7f\xff\xff\xff", b"\xff" * 8, b"-1", b"9" * 30, b"1e999", b"{", b"]", b'"']
ODD = [
    None, True, False, 0, -1, 1, 2, 1.5, -0.0, 1e308, 1e-320, 2**31, 2**63, 2**64, 10**30, -(10**18), float("nan"),
    float("inf"), "", "x", "nan", "0", "9" * 1000, "\0", "\ud800", "é", "../..", [], [[]], {}, [None], [0, 0], [[0, 0]],
    {"a": 1}, [1] * 1000, ["x", 1, None],
]  # fmt: skip


WATCH = Watch()


def chances(kind: int) -> Iterator[random.Random]:
    """COUNT random streams; each is known by its kind and number."""
    for number in range(COUNT):
        yield random.Random((SEED * 1000 + kind) * 1_000_000 + number)


def bytes_changed(data: bytes, chance: random.Random) -> bytes:
    """A few bytes flipped, overwritten, inserted, deleted, doubled, or the end cut off."""
    for _ in range(chance.choice([1, 1, 1, 2, 5, 20])):
        at, length = chance.randrange(len(data) + 1), chance.choice([1, 1, 2, 4, 8, 64])
        kind = chance.randrange(6)
        if kind == 0 and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + chance.randbytes(length) + data[at + length :]
        elif kind == 2:
            data = data[:at] + chance.choice(EDGES) + data[at:]
        elif kind == 3:
            data = data[:at] + data[at + length :]
        elif kind == 4:
            data = data[:at] + data[at : at + length] + data[at:]
        elif chance.random() < 0.3:
            data = data[:at]
    return data


def tree_changed(tree: Any, chance: random.Random) -> Any:
    """A copy of lists, objects and values with one to three of them replaced, removed, doubled or nested."""
    tree = [copy.deepcopy(tree)]
    for _ in range(chance.choice([1, 1, 2, 3])):
        holder, key = chance.choice(list(_places(tree)))
        kind, old = chance.randrange(6), holder[key]
        if kind == 1 and holder is not tree:
            del holder[key]
        elif kind == 2 and isinstance(old, list):
            holder[key] = old * chance.choice([2, 3, 100])
        elif kind == 3:
            holder[key] = _nested(old, chance.choice([1, 2, 50, 300]))
        elif kind == 4 and isinstance(old, int | float):
            holder[key] = chance.choice([-old, float(old) * 1e10, str(old), [old], 1 << chance.randrange(200)])
        elif kind == 5 and isinstance(old, dict):
            old[chance.choice(["x", "", *old])] = copy.deepcopy(chance.choice(ODD))
        else:
            holder[key] = copy.deepcopy(chance.choice(ODD))
    return tree[0]


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    todo = [tree]
    while todo:
        holder = todo.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            yield holder, key
            if isinstance(holder[key], list | dict):
                todo.append(holder[key])


def _nested(value: Any, depth: int) -> Any:
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def zip_changed(data: bytes, chance: random.Random, change_entry: Callable[[bytes, random.Random], bytes]) -> bytes:
    """A zip written anew, sound as such, with entries changed by `change_entry`, renamed, removed, doubled."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    for _ in range(chance.choice([1, 1, 2])):
        at = chance.randrange(len(entries))
        name, content = entries[at]
        other = chance.choice(entries)
        entries[at] = chance.choice([
            (name, change_entry(content, chance)), (name, change_entry(content, chance)), (name, other[1]),
            (other[0], content), (chance.choice(["x", "../x", name + "x", "é.npy"]), content), (name, b""),
            (name, content * 2),
        ])  # fmt: skip
        if chance.random() < 0.2 and len(entries) > 1:
            del entries[chance.randrange(len(entries))]
    output, method = io.BytesIO(), chance.choice([zipfile.ZIP_STORED] * 3 + [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
    with zipfile.ZipFile(output, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, content in entries:
            archive.writestr(name, content)
    return output.getvalue()


def survives(
    path: Path, read: Callable[[Path], Any], mutations: Iterable[bytes], memory: int = MEMORY
) -> tuple[int, list[str]]:
    """How many of the mutations, each written to `path`, `read` took, and what it refused the others with.

    Each in one line, in bounded memory (bytes that all may add) and time; nothing else is done and no file is left.
    """
    taken, messages = 0, []
    before, files = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, files_below(path.parent).keys()
    for number, data in enumerate(mutations):
        path.write_bytes(data)
        try:
            with time_limit(), WATCH.watching():
                read(path)
            taken += 1
        except UserError as error:
            messages.append(str(error))
        except BaseException as error:
            pytest.fail(f"mutation {number} ({data[:200]!r}...): {type(error).__name__}: {error}")
        assert WATCH.taken() == {}, f"mutation {number}"
    assert [message for message in messages if "\n" in message or len(message) > LONGEST] == []
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < memory
    assert files_below(path.parent).keys() <= files | {path}
    return taken, messages


@contextmanager
def memory_limit(size: int) -> Iterator[None]:
    """Asking for more than `size` bytes beyond what the process has already raises MemoryError."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


class Hangs(BaseException):
    """Not done in time; nothing that is done takes it for an error of its own."""


@contextmanager
def time_limit(seconds: float = SECONDS) -> Iterator[None]:
    """Raises Hangs in what takes longer: of the processor's time, and PATIENCE times as long of anybody's.

    Beside other work, as tests often run, a clock on the wall says little.
    """

    def hangs(*_):
        raise Hangs(f"not done in {seconds} s")

    timers = {signal.ITIMER_PROF: (signal.SIGPROF, seconds), signal.ITIMER_REAL: (signal.SIGALRM, PATIENCE * seconds)}
    old = {number: signal.signal(number, hangs) for number, _ in timers.values()}
    for timer, (_, limit) in timers.items():
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for timer in timers:
            signal.setitimer(timer, 0)
        for number, handler in old.items():
            signal.signal(number, handler)
