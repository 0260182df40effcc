"""Values on a command line, as of --set key=value: YAML in which numbers are of plain digits."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from dnnlib.errors import UserError
from dnnlib.parsing import integer, real, shown

_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_WHOLE = r"[-+]?[0-9]+$"
_REAL = r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?$"
_NOT_FINITE = r"[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"


class _PlainNumbers(yaml.SafeLoader):
    """Safe YAML, but for numbers: YAML 1.1 reads 010 as 8, 1:30 as 90 and 1_000 as 1000, and 1e-3 as a text."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag not in (_INT, _FLOAT)]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _read_whole(loader: yaml.SafeLoader, node: Any) -> int:
    return integer(loader.construct_scalar(node))


def _read_real(loader: yaml.SafeLoader, node: Any) -> float:
    text = loader.construct_scalar(node)
    return float(text.replace(".", "")) if re.fullmatch(_NOT_FINITE, text) else real(text)


_PlainNumbers.add_implicit_resolver(_INT, re.compile(_WHOLE), list("-+0123456789"))
_PlainNumbers.add_implicit_resolver(_FLOAT, re.compile(f"{_REAL}|{_NOT_FINITE}"), list("-+.0123456789"))
_PlainNumbers.add_constructor(_INT, _read_whole)
_PlainNumbers.add_constructor(_FLOAT, _read_real)


def read_value(text: str, where: str) -> Any:
    """The value of a YAML text. Raises UserError, naming `where`, for no YAML and for numbers such as 1_000."""
    try:
        loader = _PlainNumbers(text)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError):  # also dates and numbers that are none
        key = where.removeprefix("--set ").partition("=")[0]
        raise UserError(f"{where}: the value is no YAML; quote it, for example '{key}=[1, 2, 4]'") from None
    check_digits(value, where)
    return value


def check_digits(value: Any, where: str) -> None:
    """Raises UserError, naming `where`, for a text that Python would read as a number but is not in plain digits."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            check_digits(each, where)
    if isinstance(value, str) and _is_number(value, float) and not _is_number(value, real):
        raise UserError(f"{where}: write the number {shown(value)} in the digits 0 to 9, without underscores")


def _is_number(text: str, read: Any) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True
