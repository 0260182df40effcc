"""Parsers for small command-line values."""

import difflib
import re
from collections.abc import Iterable

from dnnlib.errors import UserError


def int_ranges(text: str) -> list[int]:
    """Parse '0,3,5-8' into [0, 3, 5, 6, 7, 8]. Raises UserError on anything else."""
    numbers: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise UserError(f"'{text}' is no list of numbers; write it as 0,3,5-8")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UserError(f"'{part.strip()}' in '{text}' runs backwards; write {last}-{first}")
        numbers.extend(range(first, last + 1))
    return numbers


def floats(text: str, count: int, what: str) -> list[float]:
    """Parse `count` comma-separated numbers. Raises UserError naming `what` otherwise."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise UserError(f"{what} '{text}' must be {count} comma-separated number{'s' if count > 1 else ''}")
    return values


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as "; did you mean 'gamma'?" naming the known word closest to `name`, or a list of all."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(known)}"
