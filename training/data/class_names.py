"""Classes in words: names kept in a snapshot, and what --class says."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.parsing import nearest, real, shown
from dnnlib.words import counted

ENTRY = "class_names"  # of a snapshot's metadata, a JSON list; inside its entry "steergan", too
SHOWN = 12  # names in a message


def read_class_names(snapshot: Path, classes: int) -> list[str] | None:
    """The names of a snapshot's classes by number; None where it has none, or not one for each."""
    try:
        with safe_open(snapshot, framework="pt") as file:
            metadata = file.metadata() or {}
        about = json.loads(metadata.get("steergan", "{}"))
        names = json.loads(metadata[ENTRY]) if ENTRY in metadata else about.get(ENTRY)
    except (SafetensorError, OSError, ValueError, RecursionError, AttributeError):
        return None
    usable = isinstance(names, list) and len(names) == classes and all(isinstance(name, str) for name in names)
    return names if usable else None


def chosen_class(text: str | None, classes: int, snapshot: Path) -> int | Tensor | None:
    """What --class says, for a model of `classes` (0: it has none) from this snapshot.

    Raises UserError when a model with classes is given none, or has no such class.
    """
    if classes == 0:
        if text is not None:
            raise UserError("--class: this model was trained without labels; leave it out")
        return None
    names = read_class_names(snapshot, classes)
    if text is None:
        raise UserError(f"this model was trained with labels; give a --class: {listed(classes, names)}")
    return parse_class(text, classes, names)


def parse_class(text: str, classes: int, names: Sequence[str] | None = None) -> int | Tensor:
    """A class by its name, else by its number; or a row [1, classes] of numbers with commas between.

    Raises UserError when there is no such class.
    """
    if names is not None and text in names:
        numbers = [number for number, name in enumerate(names) if name == text]
        if len(numbers) > 1:
            raise UserError(f"--class {shown(text)}: {len(numbers)} classes are called so; give a number: {numbers}")
        return numbers[0]
    if "," in text:
        return torch.tensor([_row(text, classes)])
    if text.isdecimal() and text.isascii() and len(text) < 10 and int(text) < classes:
        return int(text)
    if names is None:
        raise UserError(f"--class {shown(text)}: {_known(classes, names)}")
    raise UserError(f"--class {shown(text)}: {_known(classes, names)}{nearest(text, names).split('; known')[0]}")


def listed(classes: int, names: Sequence[str] | None) -> str:
    """Which classes there are: "0 cat, 1 dog", or "0 to 9"."""
    if names is None:
        return f"0 to {classes - 1}"
    more = f", ... {classes - 1} {names[-1]}" if classes > SHOWN else ""
    return ", ".join(f"{number} {shown(name, 30)}" for number, name in enumerate(names[:SHOWN])) + more


def _known(classes: int, names: Sequence[str] | None) -> str:
    return f"the classes are {listed(classes, names)}; or give {counted(classes, 'number')} with commas between"


def _row(text: str, classes: int) -> list[float]:
    try:
        row = [real(part) for part in text.split(",")]
    except ValueError:
        row = []
    if len(row) != classes or not all(math.isfinite(number) and abs(number) < 1e30 for number in row):
        raise UserError(f"--class {shown(text)}: a label of this model is {counted(classes, 'finite number')}")
    return row
