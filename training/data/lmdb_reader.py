"""LMDB databases, read in a process of their own, so that a damaged one is an error and not the end of the program."""

import importlib.util
import os
import select
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dnnlib.errors import UserError
from training.data import lmdb_server

DATA = "data.mdb"
Result = TypeVar("Result")

_PATIENCE = 60.0  # seconds that one answer may take
_LAST_WORDS = 5.0  # seconds in which the process may say what is wrong
_LONGEST_KEY = 511  # bytes; LMDB's own limit
_BLOCK = 1 << 16


class Lmdb:
    """Values of an LMDB folder by position in key order; in LSUN each is an encoded image.

    The process that reads ends with this object, or with the program.
    """

    def __init__(self, path: Path, limit: int | None = None):
        """Raises UserError when the lmdb package is missing, or the folder is damaged or empty."""
        if importlib.util.find_spec("lmdb") is None:
            raise UserError(f"{path}: reading LMDB needs the lmdb package: pip install lmdb")
        if not (path / DATA).is_file():
            raise UserError(f"{path} cannot be read as an LMDB database: it holds no file {DATA}")
        self.path = path
        self._file_size = (path / DATA).stat().st_size
        # -P: nothing is imported from the script's folder.
        command = [sys.executable, "-P", lmdb_server.__file__, str(path), str(limit or 0)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._end = weakref.finalize(self, _end, self._process)
        self._received = bytearray()
        self.keys = self._answer(self._read_keys)
        if not self.keys:
            raise UserError(f"{path} is an LMDB database without entries")

    def read(self, index: int) -> bytes:
        """The bytes of entry `index`. Raises UserError when the database is damaged there."""
        return self._answer(lambda: self._ask(index))

    def _answer(self, ask: Callable[[], Result]) -> Result:
        """What `ask()` returns. Raises UserError when the process dies of it, or takes too long."""
        try:
            return ask()
        except (EOFError, OSError, ValueError) as error:
            why = self._end() or str(error) or "reading it ends the process that does"
            message = f"{self.path} cannot be read as an LMDB database, perhaps cut short or damaged: {why}"
            raise UserError(message) from error

    def _ask(self, index: int) -> bytes:
        self._stdin.write(index.to_bytes(8))
        length = int.from_bytes(self._read(8))
        if length > self._file_size:
            raise ValueError(f"an entry of {length} bytes in a file of {self._file_size}")
        return self._read(length)

    def _read_keys(self) -> list[bytes]:
        keys: list[bytes] = []
        while (length := int.from_bytes(self._read(4))) != lmdb_server.END:
            if length > _LONGEST_KEY:
                raise ValueError(f"a key of {length} bytes")
            keys.append(self._read(length))
        return keys

    def _read(self, size: int) -> bytes:
        source = self._stdout.fileno()
        while len(self._received) < size:
            ready, _, _ = select.select([source], [], [], _PATIENCE)
            if not ready:
                raise ValueError(f"no answer for {_PATIENCE:g} seconds")
            data = os.read(source, _BLOCK)
            if not data:
                raise EOFError
            self._received += data
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken


def _end(process: subprocess.Popen) -> str:
    """End the process; what it has said of its trouble, in one line."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(_LAST_WORDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stderr is not None
    with process.stderr as errors:
        lines = errors.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
