"""Parsers for small command-line values."""

import difflib
import math
import os
import re
from collections.abc import Iterable, Mapping

from dnnlib.errors import UserError, printable

LONGEST_LIST = 1_000_000  # numbers in a list such as 0-9999
LARGEST = 2**63 - 1


def real(text: str) -> float:
    """float(text), of ASCII digits without underscores. Raises ValueError for anything else."""
    return float(_plain(text))


def integer(text: str) -> int:
    """int(text), of ASCII digits without underscores. Raises ValueError for anything else."""
    return int(_plain(text))


def of_environment(name: str, otherwise: int, environment: Mapping[str, str] = os.environ) -> int:
    """The whole number that a variable holds, `otherwise` where there is none. Raises UserError for anything else."""
    text = environment.get(name, str(otherwise))
    try:
        return integer(text)
    except ValueError as error:
        raise UserError(f"{name}={shown(text)} is no whole number; unset it, or start by a launcher") from error


def _plain(text: str) -> str:
    """Python also reads 1_000, and digits of other scripts, which other programs read otherwise or not at all."""
    if "_" in text or not text.isascii():
        raise ValueError(f"{text!r} is no number in plain digits")
    return text


def int_ranges(text: str, limit: int = LARGEST + 1, most: int = LONGEST_LIST) -> list[int]:
    """Parse '0,3,5-8' into [0, 3, 5, 6, 7, 8].

    Raises UserError on anything else, for numbers from `limit` on, and for more than `most` of them.
    """
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]+)(?:-([0-9]+))?\s*", part)
        if match is None:
            raise UserError(f"'{shown(text)}' is no list of numbers; write it as 0,3,5-8")
        first, last = (whole(digits, limit, f"'{shown(text)}'") for digits in (match[1], match[2] or match[1]))
        if last < first:
            raise UserError(f"'{part.strip()}' in '{shown(text)}' runs backwards; write {last}-{first}")
        if len(numbers) + last - first >= most:
            raise UserError(f"'{shown(text)}' is a list of more than {most:,} numbers; take fewer at a time")
        numbers.extend(range(first, last + 1))
    return numbers


def whole(digits: str, limit: int, where: str) -> int:
    """The number that ASCII digits say. Raises UserError, naming `where`, from `limit` on."""
    digits = digits.lstrip("0") or "0"
    if len(digits) > len(str(limit)) or int(digits) >= limit:
        raise UserError(f"{where}: {shown(digits, 24)} is too large; the largest number here is {limit - 1}")
    return int(digits)


def floats(text: str, count: int, what: str) -> list[float]:
    """Parse `count` comma-separated finite numbers. Raises UserError naming `what` otherwise."""
    try:
        values = [real(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise UserError(f"{what} '{shown(text)}' must be {count} comma-separated number{'s' if count > 1 else ''}")
    if not all(map(math.isfinite, values)):
        raise UserError(f"{what} '{shown(text)}' must be finite numbers")
    return values


def shown(text: str, length: int = 60) -> str:
    """`text` for a message: its beginning where it is long, without control characters."""
    return printable(text if len(text) <= length else f"{text[:length]}...")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as "; did you mean 'gamma'?" naming the known word closest to `name`, or a list of all."""
    known = sorted(known)
    close = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(known)}"
