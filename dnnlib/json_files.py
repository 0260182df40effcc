"""JSON from files that anybody may have written: read in bounded memory, refused in one line."""

import json
import math
import os
import stat
from collections import Counter
from io import BufferedReader
from pathlib import Path
from typing import Any

from dnnlib.errors import UserError

LIMIT = 64 << 20  # bytes
DEPTH = 100  # lists and objects inside one another
BITS = 64  # of a whole number


def read_json(path: str | Path, limit: int = LIMIT) -> Any:
    """The value in a JSON file (UTF-8, with or without a byte order mark).

    Raises UserError, one line naming the file, when it cannot be read, has more than `limit` bytes, is no JSON by
    RFC 8259 (NaN and Infinity are none), has one key twice in an object, a number outside int64, uint64 and float64,
    or nests more than 100 deep.
    """
    return parse_json(read_bytes(path, limit), str(path))


def read_bytes(path: str | Path, limit: int) -> bytes:
    """The contents of a regular file. Raises UserError as `open_regular` does."""
    with open_regular(path, limit) as file:
        try:
            return file.read(limit + 1)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from error


def open_regular(path: str | Path, limit: int) -> BufferedReader:
    """A regular file, open for reading. Raises UserError when it is none or has more than `limit` bytes.

    A FIFO or a device is refused without waiting for it.
    """
    try:
        file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115 (the caller closes it)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # a NUL byte in the name
        raise UserError(f"cannot read {str(path)!r}: {error}") from error
    about = os.fstat(file.fileno())
    if stat.S_ISREG(about.st_mode) and about.st_size <= limit:
        return file
    file.close()
    if stat.S_ISREG(about.st_mode):
        raise UserError(f"{path} is larger than {limit:,} bytes; that is no file of its kind")
    raise UserError(f"{path} is not a regular file")


def parse_json(data: bytes | str, where: str | Path) -> Any:
    """The value of a JSON text. Raises UserError naming `where`, as `read_json` does."""
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        value = json.loads(
            text, parse_int=_integer, parse_float=_real, parse_constant=_refused, object_pairs_hook=_object
        )
        _check_depth(value)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}:{error.lineno}: not valid JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not a JSON text file (byte {error.start} is not UTF-8)") from error
    except RecursionError as error:
        raise UserError(f"{where}: {_TOO_DEEP}") from error
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    return value


_TOO_DEEP = f"lists and objects nest more than {DEPTH} deep"


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -(2 ** (BITS - 1)) <= int(digits) < 2**BITS:
        raise UserError(f"the number {digits:.24} is too large")
    return int(digits)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise UserError(f"the number {text:.24} is too large")
    return value


def _refused(name: str) -> float:
    raise UserError(f"not valid JSON: {name} is no number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise UserError(f"the key {twice[:40]!r} is there twice in one object")
    return found


def _check_depth(value: Any) -> None:
    """Level by level, for readers that follow the nesting by recursion."""
    level = [value]
    for _ in range(DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise UserError(_TOO_DEEP)


def _inside(value: Any) -> list[Any]:
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [inner for inner in values if isinstance(inner, (dict, list))]
