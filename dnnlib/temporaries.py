"""Temporary files and folders beside what they are to become; those of processes that were killed are removed.

A process holds a lock on each of its own, which the system releases however it ends: what nobody holds is a leftover.
"""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from dnnlib.locks import take_lock

LONGEST_PREFIX, LONGEST_SUFFIX = 200, 20  # bytes and characters of temporary names, of which file systems allow 255
_NAME = re.compile(r"(\..*\.)[a-z0-9_]{8}((?:\.[^.]*)?)", re.DOTALL)  # eight characters of tempfile's


@contextmanager
def temporary(path: Path, is_folder: bool = False) -> Iterator[Path]:
    """Yield an empty file beside `path`, or a folder, under a temporary name with its suffix; it is gone afterwards.

    What earlier processes left there for `path` when they were killed is removed first.
    """
    prefix = temporary_prefix(path.name if is_folder else path.stem)
    suffix = path.suffix if len(path.suffix) < LONGEST_SUFFIX and not is_folder else ""
    _remove_leftovers(path.parent, prefix, suffix)
    name, handle = _make(path.parent, prefix, suffix, is_folder)
    try:
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True) if is_folder else Path(name).unlink(missing_ok=True)
        os.close(handle)


def temporary_prefix(name: str) -> str:
    """How names of temporary files begin that stand for `name`: as it does, so far as there is room for more."""
    return f".{name.encode('utf-8', 'surrogateescape')[:LONGEST_PREFIX].decode('utf-8', 'ignore')}."


def _make(folder: Path, prefix: str, suffix: str, is_folder: bool) -> tuple[str, int]:
    """Its name, and a handle that holds its lock. Made anew where another process took it for a leftover."""
    while True:
        if is_folder:
            name = tempfile.mkdtemp(dir=folder, prefix=prefix)
            handle = os.open(name, os.O_RDONLY)
        else:
            handle, name = tempfile.mkstemp(dir=folder, prefix=prefix, suffix=suffix)
        if take_lock(handle) is not False and os.path.exists(name):
            return name, handle
        os.close(handle)


def _remove_leftovers(folder: Path, prefix: str, suffix: str) -> None:
    for name in _found(folder.absolute()).pop((prefix, suffix), []):
        with suppress(OSError):
            _remove_unless_held(folder / name)


@cache
def _found(folder: Path) -> dict[tuple[str, str], list[str]]:
    """{(prefix, suffix): names} of what may be temporary, once a process: a folder may get thousands of files."""
    found: dict[tuple[str, str], list[str]] = {}
    with suppress(OSError):
        for name in os.listdir(folder):
            if match := _NAME.fullmatch(name):
                found.setdefault((match[1], match[2]), []).append(name)
    return found


def _remove_unless_held(path: Path) -> None:
    """Remove a leftover: a user's own file or folder that nobody else may look at, as tempfile makes them."""
    status = path.lstat()
    is_folder = stat.S_ISDIR(status.st_mode)
    private = status.st_uid == os.getuid() and stat.S_IMODE(status.st_mode) == (0o700 if is_folder else 0o600)
    if not private or not (is_folder or stat.S_ISREG(status.st_mode)):
        return
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if take_lock(handle):
            shutil.rmtree(path) if is_folder else path.unlink()
    finally:
        os.close(handle)
