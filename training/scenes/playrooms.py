"""Playrooms: a pale wall and floor, and large bright toys anywhere in the air, each with a colour of its own.

Positions and sizes are fractions of the picture's side, y down. Made for steering several objects in small pictures:
toys are a third of the side, keep their distance, and no place is more usual for one than for another.
"""

import numpy as np

from training.scenes import colors
from training.scenes.backgrounds import wall_and_floor
from training.scenes.canvas import Canvas, Model, box, ellipse, polygon
from training.scenes.colors import BLACK, WHITE, Color
from training.scenes.places import scattered

_OBJECTS = 3
_RADIUS = (0.13, 0.18)
_MARGIN = 0.16  # how near to the border a toy's middle may be
_APART = 0.32  # the least distance of two toys' middles, if there is room
_PALE = 0.7  # white in walls and floors
_CONTRAST = 0.9  # of a toy to the room and to the other toys


def playroom(
    rng: np.random.Generator, resolution: int, objects: int | None = None, named: bool = False
) -> tuple[np.ndarray, dict]:
    """A room with three, or `objects`, of ball, block and cone in it. See scenes for what is returned; a toy hidden by
    others is not in the truth. `named`: toys have the colours of colors.NAMED, each another one, as far as they go."""
    room = [colors.mixed(colors.random_color(rng), WHITE, _PALE) for _ in range(2)]
    horizon = round(rng.uniform(0.5, 0.7) * resolution) / resolution
    canvas = Canvas(wall_and_floor(resolution, horizon, *room))
    kinds, seen, places = [], list(room), scattered(rng, objects or _OBJECTS, _MARGIN, _APART)
    palette = [list(colors.NAMED.values())[n] for n in rng.permutation(len(colors.NAMED))] if named else []
    for owner, middle in enumerate(places, start=1):
        kinds.append(str(rng.choice(list(_BUILDERS))))
        seen.append(palette[(owner - 1) % len(palette)] if palette else colors.contrasting(rng, seen, _CONTRAST))
        radius = rng.uniform(*_RADIUS)
        canvas.draw(_BUILDERS[kinds[-1]](seen[-1]).moved(radius * resolution, middle * resolution), owner)
    toys = [
        canvas.truth(kind, owner, color=seen[len(room) + owner - 1])
        for owner, kind in enumerate(kinds, start=1) if canvas.shows(owner)
    ]  # fmt: skip
    return canvas.pixels(), {"objects": toys}


# Toys with a radius of 1 around (0, 0).


def _ball(color: Color) -> Model:
    shine = ellipse((-0.35, -0.35), (0.3, 0.3), colors.mixed(color, WHITE, 0.6))
    return Model([ellipse((0, 0), (1, 1), color), shine])


def _block(color: Color) -> Model:
    return Model([box(-0.85, -0.85, 0.85, 0.85, color), box(-0.85, 0.35, 0.85, 0.85, colors.mixed(color, BLACK, 0.35))])


def _cone(color: Color) -> Model:
    shade = polygon([(0, -1), (1, 0.9), (0.3, 0.9)], colors.mixed(color, BLACK, 0.35))
    return Model([polygon([(0, -1), (1, 0.9), (-1, 0.9)], color), shade])


_BUILDERS = {"ball": _ball, "block": _block, "cone": _cone}
