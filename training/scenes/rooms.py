"""Rooms: a wall, a floor and two to four pieces of furniture, each with a colour of its own.

Positions and sizes are fractions of the picture's side, y down; `horizon` is where the wall meets the floor.
"""

from collections.abc import Callable

import numpy as np

from training.scenes import colors
from training.scenes.backgrounds import wall_and_floor
from training.scenes.canvas import Canvas, Model, box, ellipse, polygon, stroke
from training.scenes.colors import BLACK, WHITE, Color

_CONTRAST = 0.6  # of a thing to what lies behind it, and of the wall to the floor
_COLUMNS = (0.22, 0.5, 0.78)  # where standing things go, give or take _STRAY
_STRAY = 0.06
_SIDES = (-1, 1)


def room(rng: np.random.Generator, resolution: int, objects: int | None = None) -> tuple[np.ndarray, dict]:
    """A room with two to four, or `objects`, of window, rug, bed, table and lamp. See scenes for what is returned;
    a thing hidden by others is not in the truth."""
    horizon = rng.uniform(0.5, 0.65)
    wall = colors.random_color(rng)
    floor = colors.contrasting(rng, [wall], _CONTRAST)
    kinds = _choose_kinds(rng, objects)
    canvas, shades = Canvas(wall_and_floor(resolution, horizon, wall, floor)), []
    for owner, (kind, x) in enumerate(kinds.items(), start=1):
        shades.append(colors.contrasting(rng, _behind(kind, wall, floor), _CONTRAST))
        canvas.draw(_BUILDERS[kind](rng, x, horizon, shades[-1]).moved(resolution), owner)
    things = enumerate(zip(kinds, shades, strict=True), start=1)
    truths = [canvas.truth(kind, owner, color=shade) for owner, (kind, shade) in things if canvas.shows(owner)]
    return canvas.pixels(), {"objects": truths}


def _choose_kinds(rng: np.random.Generator, objects: int | None) -> dict[str, float]:
    """Kinds from back to front with their x; things that stand on the floor get columns of their own."""
    chosen = set(rng.permutation(list(_BUILDERS))[: objects or rng.integers(2, 5)])
    columns = iter(rng.permutation(_COLUMNS) + rng.uniform(-_STRAY, _STRAY, size=3))
    flat = {"window", "rug"}
    return {
        kind: rng.uniform(0.25, 0.75) if kind in flat else float(next(columns)) for kind in _BUILDERS if kind in chosen
    }


def _behind(kind: str, wall: Color, floor: Color) -> list[Color]:
    return {"window": [wall], "rug": [floor]}.get(kind, [wall, floor])


def _window(rng: np.random.Generator, x: float, horizon: float, color: Color) -> Model:
    half, tall, bar = rng.uniform(0.1, 0.16), rng.uniform(0.2, 0.3), 0.025
    top = rng.uniform(0.06, max(0.07, horizon - tall - 0.08))
    glass = colors.mixed(color, WHITE, 0.6)
    panes = [
        box(left + bar / 2, top + bar, left + half - bar, top + tall - bar, glass) for left in (x - half + bar / 2, x)
    ]
    return Model([box(x - half, top, x + half, top + tall, color), *panes])


def _rug(rng: np.random.Generator, x: float, horizon: float, color: Color) -> Model:
    middle = x, rng.uniform((horizon + 1) / 2, 0.92)
    radii = np.array([rng.uniform(0.16, 0.24), rng.uniform(0.05, 0.07)])
    return Model([ellipse(middle, radii, color), ellipse(middle, radii * 0.6, colors.mixed(color, WHITE, 0.4))])


def _bed(rng: np.random.Generator, x: float, horizon: float, color: Color) -> Model:
    half, bottom = rng.uniform(0.15, 0.2), horizon + rng.uniform(0.12, 0.2)
    top = bottom - rng.uniform(0.13, 0.18)
    head = rng.choice(_SIDES)  # at which end
    post = x + head * (half - 0.02)
    board = stroke((post, top - 0.1), (post, bottom), 0.04, colors.mixed(color, BLACK, 0.4))
    pillow = ellipse((x + head * (half - 0.1), top), (0.06, 0.03), colors.mixed(color, WHITE, 0.7))
    return Model([box(x - half, top, x + half, bottom - 0.03, color), board, pillow])


def _table(rng: np.random.Generator, x: float, horizon: float, color: Color) -> Model:
    half, bottom = rng.uniform(0.11, 0.15), horizon + rng.uniform(0.1, 0.22)
    top = bottom - rng.uniform(0.15, 0.2)
    feet = [x + side * half * 0.8 for side in _SIDES]
    legs = [stroke((foot, top), (foot, bottom), 0.035, color) for foot in feet]
    return Model([*legs, box(x - half, top, x + half, top + 0.05, color)])


def _lamp(rng: np.random.Generator, x: float, horizon: float, color: Color) -> Model:
    bottom = horizon + rng.uniform(0.05, 0.15)
    top = bottom - rng.uniform(0.4, 0.5)
    dark = colors.mixed(color, BLACK, 0.4)
    rim = top + 0.13
    shade = polygon([(x - 0.045, top), (x + 0.045, top), (x + 0.09, rim), (x - 0.09, rim)], color)
    return Model([stroke((x, top), (x, bottom), 0.025, dark), ellipse((x, bottom), (0.06, 0.02), dark), shade])


# In drawing order.
_BUILDERS: dict[str, Callable[[np.random.Generator, float, float, Color], Model]] = {
    "window": _window,
    "rug": _rug,
    "bed": _bed,
    "table": _table,
    "lamp": _lamp,
}
