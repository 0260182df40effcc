"""Damage to bytes, from a seed, and what a reader makes of thousands of such files."""

import random
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dnnlib.errors import UserError

COUNT = 2000  # mutations
SECONDS = 20  # after which one counts as hanging
MEMORY = 1 << 30  # bytes that reading all of them may add to what the process had at most
EDGES = [b"\x00", b"\xff", b"\x80", b"\x7f\xff\xff\xff", b"\xff" * 8, b"-1", b"9" * 30, b"1e999", b"{", b"]", b'"']


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
