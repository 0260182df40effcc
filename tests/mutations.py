"""Damage of many kinds, from a seed: to bytes, and to the structure of JSON and of zip archives."""

import copy
import io
import os
import random
import resource
import signal
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dnnlib.errors import UserError

COUNT = int(os.environ.get("MUTATIONS", "2000"))  # of each kind
SECONDS = 20  # after which one counts as hanging
MEMORY = 1 << 30  # bytes that reading all of them may add to what the process had at most
EDGES = [b"\x00", b"\xff", b"\x80", b"\x7f\xff\xff\xff", b"\xff" * 8, b"-1", b"9" * 30, b"1e999", b"{", b"]", b'"']
ODD = [
    None, True, False, 0, -1, 1, 2, 1.5, -0.0, 1e308, 1e-320, 2**31, 2**63, 2**64, 10**30, -(10**18), float("nan"),
    float("inf"), "", "x", "nan", "0", "9" * 1000, "\0", "\ud800", "é", "../..", [], [[]], {}, [None], [0, 0], [[0, 0]],
    {"a": 1}, [1] * 1000, ["x", 1, None],
]  # fmt: skip


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


def survives(read: Callable[[bytes], Any], mutations: Iterator[bytes]) -> tuple[int, int]:
    """How many of the mutations `read` took, and how many it refused: in one line each, in bounded memory and time."""
    taken, messages = 0, []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, data in enumerate(mutations):
        try:
            with _time_limit():
                read(data)
            taken += 1
        except UserError as error:
            messages.append(str(error))
        except BaseException as error:
            pytest.fail(f"mutation {number} ({data[:200]!r}...): {type(error).__name__}: {error}")
    assert [message for message in messages if "\n" in message or len(message) > 600] == []
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MEMORY
    return taken, len(messages)


@contextmanager
def _time_limit() -> Iterator[None]:
    def hangs(*_):
        raise TimeoutError(f"not read in {SECONDS} s")

    old = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
