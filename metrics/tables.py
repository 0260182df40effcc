"""Results as people read them."""

from collections.abc import Sequence
from typing import Any

Result = dict[str, Any]


def table(result: Result) -> str:
    """A result, one quantity a line."""
    about = [_amount(result), f"{result['seconds']:.1f} s", *([result["direction"]] if "direction" in result else [])]
    rows = [f"{result['metric']} ({', '.join(about)})"]
    rows += [f"  {key:30} {value:10.4g}" for key, value in result["results"].items()]
    return "\n".join(rows)


def side_by_side(first: Sequence[Result], second: Sequence[Result], names: tuple[str, str]) -> str:
    """The same metrics of two networks side by side: both values, and how much the second one is above the first.

    What only one of them has, such as the parts of a level, stands beside "-".
    """
    width = max(12, *(len(name) + 2 for name in names))
    rows = [f"{'':30}" + "".join(f"{name:>{width}}" for name in (*names, "difference"))]
    for a, b in zip(first, second, strict=True):
        for key in [*a["results"], *(key for key in b["results"] if key not in a["results"])]:
            there = [of["results"].get(key) for of in (a, b)]
            cells = [f"{'-':>{width}}" if value is None else f"{value:{width}.4g}" for value in there]
            difference = f"{'-':>{width}}" if None in there else f"{there[1] - there[0]:+{width}.4g}"
            rows.append(f"{key:30}" + "".join([*cells, difference]))
    return "\n".join(rows)


def _amount(result: Result) -> str:
    """Such as "200 draws"."""
    unit = next(key.removeprefix("num_") for key in result if key.startswith("num_"))
    return f"{result[f'num_{unit}']} {unit}"
