"""Pictures in words, by rules: what is in a scene, and where."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

_MIDDLE = 0.2  # how far a single object may be from the middle, of half a side, to be in the middle


def caption(scene: Mapping[str, Any]) -> str:
    """What a scene (see ground_truth) shows: "a blue cone on the left", or "a blue cone left of a red ball".

    Several objects go from left to right, with what the next one is to each: left of it, above it or below it.
    """
    things = sorted(scene["objects"], key=lambda thing: thing["center"][0])
    if not things:
        return "nothing"
    if len(things) == 1:
        return f"{_named(things[0])} {_place(things[0]['center'][0])}"
    steps = (f" {_relation(first, second)} {_named(second)}" for first, second in pairwise(things))
    return _named(things[0]) + "".join(steps)


def _named(thing: Mapping[str, Any]) -> str:
    words = " ".join(filter(None, [thing.get("color"), thing["kind"]]))
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _place(x: float) -> str:
    return "in the middle" if abs(x) <= _MIDDLE else "on the left" if x < 0 else "on the right"


def _relation(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    across, down = (second["center"][axis] - first["center"][axis] for axis in (0, 1))
    if across >= abs(down):
        return "left of"
    return "above" if down > 0 else "below"
