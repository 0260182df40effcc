"""Compressed files, read no further than they may reach: a few kB of gzip can hold gigabytes."""

import gzip
import io
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 20


class TooLong(ValueError):
    """There is more in a file than is read."""


def read_at_most(file: BinaryIO | io.RawIOBase, limit: int) -> bytes:
    """All bytes of `file`. Raises TooLong when there are more than `limit`; takes no memory for what is not there."""
    blocks, size = [], 0
    while block := file.read(min(_BLOCK, limit + 1 - size)):
        blocks.append(block)
        size += len(block)
        if size > limit:
            raise TooLong(f"it holds more than {limit} bytes")
    return b"".join(blocks)


class BoundedGzip(io.RawIOBase):
    """The uncompressed bytes of a gzip file, to be read once from start to end.

    Raises TooLong after `limit` bytes; OSError, EOFError and zlib.error as gzip does.
    """

    def __init__(self, path: Path, limit: int):
        self._file, self._left, self._limit = gzip.GzipFile(path), limit, limit

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; as many as there are in one block where it is negative."""
        data = self._file.read(_BLOCK if size < 0 else min(size, _BLOCK))
        self._left -= len(data)
        if self._left < 0:
            raise TooLong(f"it unpacks to more than {self._limit} bytes")
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
