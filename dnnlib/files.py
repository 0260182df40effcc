"""Files that are either whole or absent: temporary name, fsync, rename, directory fsync."""

import io
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from dnnlib.errors import FULL, UserError
from dnnlib.json_files import parse_json
from dnnlib.temporaries import temporary

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it over `path` when the block succeeds.

    The data is synced before the rename and the directory after it, so that a crash leaves
    the old file or the new one, never a part. When the block raises, nothing remains.
    The temporary name keeps the suffix of `path`, for writers that choose a format by it. What a process that was
    killed has left there for `path` is removed. Raises UserError where a device or a pipe has that name, which a rename
    would put out of the world for all others (/dev/null, /dev/stdout).
    """
    path = Path(path)
    _check_no_device(path)
    with temporary(path) as beside:
        try:
            yield beside
            sync(beside)
            beside.chmod(0o666 & ~_umask())
            beside.replace(path)
            sync(path.parent)
        except OSError as error:
            if error.filename == str(beside) or (error.filename is None and error.errno in FULL):
                raise OSError(error.errno, error.strerror, str(path)) from error  # rather than the temporary name
            raise


def _check_no_device(path: Path) -> None:
    """Links are looked through, and those in /dev (stdout) are never replaced, wherever they lead."""
    is_device = os.path.realpath(path.parent) == "/dev"
    with suppress(OSError):
        mode = path.stat().st_mode
        is_device = is_device or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    if is_device:
        raise UserError(f"{path}: this is a device or a pipe; name a file")


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it becomes `path`, which may be an empty folder, when the block succeeds.

    What is in it is synced before the rename, and the folder around it after. When the block raises, nothing remains.
    """
    path = Path(path)
    with temporary(path, is_folder=True) as beside:
        try:
            yield beside
            sync_all(beside)
            beside.chmod(path.stat().st_mode if path.exists() else 0o777 & ~_umask())
            sync(beside)
            beside.replace(path)
            sync(path.parent)
        except OSError as error:
            if error.filename is None or str(error.filename).startswith(str(beside)):
                raise OSError(error.errno, error.strerror, str(path)) from error  # rather than the temporary name
            raise


def write_bytes(path: str | Path, data: bytes) -> None:
    """Atomically write `data` to `path`. Raises OSError, which names `path`, when that is impossible."""
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_text(path: str | Path, text: str) -> None:
    """Atomically write `text` (UTF-8) to `path`."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))  # names of files may have bytes that are none


def write_json(path: str | Path, value: Any, indent: int | None = 2) -> None:
    """Atomically write `value` as JSON with a final newline."""
    write_text(path, json.dumps(value, indent=indent) + "\n")


def remove_temporaries(folder: Path, names: Collection[str], unchanged_for: float = 0) -> list[str]:
    """Remove what `atomic_path` left in `folder` when its process was killed; returns the names of the files removed.

    names: beginnings of the files' final names, such as "checkpoint-". unchanged_for: seconds; a file that was written
    to since then stays. The caller makes sure that no living process writes such files there.
    """
    begins = "|".join(map(re.escape, names))
    pattern = re.compile(rf"\.(?:{begins}).*\.[a-z0-9_]{{8}}(?:\.\w+)?")
    removed = []
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if pattern.fullmatch(path.name) and _remove_old_file(path, unchanged_for):
                removed.append(path.name)
    return removed


def make_dir(path: str | Path) -> Path:
    """Create directory `path` with its parents. Raises UserError when it cannot be created or written to."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(f"cannot write to directory {path}: {error.strerror}; choose another one") from error
    return path


def check_place(folder: str | Path, option: str = "one") -> None:
    """Raises UserError, naming what to choose another of, unless files can be put into a folder, or it can be made.

    Nothing is made yet: for checks before long work.
    """
    folder = Path(folder)
    nearest = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    if not nearest.is_dir():
        raise UserError(f"cannot make directory {folder}: {nearest} is a file; choose another {option}")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to directory {nearest}; choose another {option}")


def check_files(paths: Sequence[str | Path]) -> None:
    """That so many files can be written. Raises UserError for folders and devices, and where two would be one."""
    for number, path in enumerate(map(Path, paths)):
        if path.is_dir():
            raise UserError(f"{path}: this is a directory; name a file")
        if any(path.absolute() == Path(other).absolute() for other in paths[:number]):
            raise UserError(f"{path}: two files are to have this name; choose another for one of them")
        _check_no_device(path)
        check_place(path.parent)


def sync(path: Path) -> None:
    """Have a file, or the entries of a directory, written to the disk. Raises OSError where that fails."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_all(folder: Path) -> None:
    """`sync` of everything in a folder, and of itself."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(Path(place, name))
        sync(Path(place))


def _lock(handle: int) -> None:
    """By one process at a time, where the system has such locks."""
    if fcntl is not None:
        with suppress(OSError):  # some network file systems have none
            fcntl.flock(handle, fcntl.LOCK_EX)


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _remove_old_file(path: Path, unchanged_for: float) -> bool:
    """Remove a regular file that was not written to for so many seconds; False when it stays."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or time.time() - status.st_mtime < unchanged_for:
            return False
        path.unlink()
    except OSError:
        return False
    return True


def append_line(path: str | Path, text: str) -> None:
    """Add `text` as a line, whole or not at all, durably; lines of several processes never mix.

    What an earlier program left unfinished at the end is closed with a line break first. Raises OSError, with the file
    as it was, when there is no room.
    """
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        _lock(handle)
        size = os.fstat(handle).st_size
        unfinished = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        try:
            _write_all(handle, b"\n" * unfinished + text.encode() + b"\n")
            os.fsync(handle)
        except OSError as error:
            os.ftruncate(handle, size)
            raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(handle)


def read_lines(path: str | Path, complain: Callable[[str], None] | None = None) -> list[dict[str, Any]]:
    """The JSON objects of a .jsonl file, one a line; none when there is no such file.

    Lines that are no JSON objects are skipped; `complain` is told how many, and where.
    """
    if not Path(path).exists():
        return []
    lines, damaged = [], []
    for number, text in enumerate(Path(path).read_bytes().splitlines(), start=1):
        line = None
        with suppress(UserError):
            line = parse_json(text, path)
        if isinstance(line, dict):
            lines.append(line)
        elif text.strip():
            damaged.append(number)
    if damaged and complain is not None:
        what = f"lines {', '.join(map(str, damaged[:5]))}" if len(damaged) > 1 else f"line {damaged[0]}"
        complain(f"{path}: {what} damaged, left out")
    return lines


def write_by(path: str | Path, save: Callable[[BinaryIO], object]) -> Path:
    """Atomically write what `save` puts into a binary file; returns the path.

    It is put together in memory first: what the disk objects to is then an OSError with its reason, whatever the
    library behind `save` makes of it.
    """
    buffer = io.BytesIO()
    save(buffer)
    write_bytes(path, buffer.getvalue())
    return Path(path)
