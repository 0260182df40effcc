"""Numbers and lists in messages."""

from collections.abc import Sequence

SHOWN = 3  # of a longer list


def counted(count: int, noun: str, several: str | None = None) -> str:
    """A number with its noun: "1 step", "2 steps".

    several: the noun's plural, where that is not made with an s.
    """
    return f"{count} {noun if count == 1 else several or f'{noun}s'}"


def first_of(names: Sequence[str], sep: str = ", ", shown: int = SHOWN) -> str:
    """A list, or its beginning: "a, b, c and 4 more"."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return sep.join(names[:shown]) + more
