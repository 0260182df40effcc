"""Values of a JSON document, checked: each returns the value or raises UserError naming the field."""

import math
from collections.abc import Collection
from typing import Any

from dnnlib.errors import UserError
from dnnlib.parsing import nearest, shown
from dnnlib.words import counted

SEED_LIMIT = 2**32


def keys(value: Any, name: str, known: Collection[str], needed: Collection[str] = ()) -> dict[str, Any]:
    """An object with no other keys than `known`, and all of `needed`."""
    if not isinstance(value, dict):
        raise UserError(f"{name}: an object is needed, not {_kind(value)}")
    for key in value.keys() - set(known):
        raise UserError(f"{name}: unknown field '{shown(key, 40)}'{nearest(key, known)}")
    for key in sorted(set(needed) - value.keys()):
        raise UserError(f"{name}: the field '{key}' is missing")
    return value


def sequence(value: Any, name: str, most: int) -> list[Any]:
    """A list of at most `most` values."""
    if not isinstance(value, list):
        raise UserError(f"{name}: a list is needed, not {_kind(value)}")
    if len(value) > most:
        raise UserError(f"{name}: {len(value)} entries are too many; {most} are the most")
    return value


def number(value: Any, name: str, least: float, most: float) -> float:
    """A number from `least` to `most`."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise UserError(f"{name}: a number is needed, not {_kind(value)}")
    if not (math.isfinite(value) and least <= value <= most):
        raise UserError(f"{name}: {value:g} is out of range; give {least:g} to {most:g}")
    return float(value)


def numbers(value: Any, name: str, count: int | None, least: float, most: float) -> tuple[float, ...]:
    """`count` numbers from `least` to `most`; None: up to a thousand."""
    values = sequence(value, name, 1000)
    if count is not None and len(values) != count:
        raise UserError(f"{name}: {counted(count, 'number')} needed, not {len(values)}")
    return tuple(number(each, name, least, most) for each in values)


def pair(value: Any, name: str, least: float, most: float) -> tuple[float, float]:
    """Two numbers from `least` to `most`."""
    x, y = numbers(value, name, 2, least, most)
    return x, y


def whole(value: Any, name: str, least: int, most: int) -> int:
    """A whole number from `least` to `most`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(f"{name}: a whole number is needed, not {_kind(value)}")
    if not least <= value <= most:
        raise UserError(f"{name}: {value} is out of range; give {least} to {most}")
    return value


def seed(value: Any, name: str) -> int:
    """A seed, 0 to 2^32 - 1."""
    return whole(value, name, 0, SEED_LIMIT - 1)


def text(value: Any, name: str, longest: int) -> str:
    """A text of at most `longest` characters."""
    if not isinstance(value, str):
        raise UserError(f"{name}: a text is needed, not {_kind(value)}")
    if len(value) > longest:
        raise UserError(f"{name}: a text of {len(value)} characters is too long; {longest} are the most")
    return value


def choice(value: Any, name: str, choices: Collection[str]) -> str:
    """One of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise UserError(f"{name}: {shown(repr(value), 40)} is none of {', '.join(choices)}")
    return value


def flag(value: Any, name: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise UserError(f"{name}: true or false is needed, not {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
