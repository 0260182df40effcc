"""Faces: one round head a picture, with two eyes and a mouth, on a two-colour gradient.

Simple enough to be learnt in minutes, and with parts that the lower levels of a layout can own. A head has a radius of
1 around (0, 0).
"""

from collections.abc import Callable

import numpy as np

from training.data import ground_truth
from training.scenes.backgrounds import gradient
from training.scenes.canvas import Canvas, Model, Shape, box, ellipse, polygon
from training.scenes.colors import Color

_SIZE = (0.4, 0.48)  # diameter, as a fraction of the picture's side; below half, so that a row's median is background
_SKINS: tuple[Color, ...] = ((250, 200, 40), (240, 130, 50), (110, 190, 80), (90, 150, 230))
_CONTRAST = 0.8  # of the background to the head
_EYEBALL, _PUPIL, _MOUTH, _TEETH = (255, 255, 255), (20, 15, 30), (110, 15, 40), (250, 250, 250)


def face(rng: np.random.Generator, resolution: int, plain: bool = False) -> tuple[np.ndarray, dict]:
    """One face, its diameter 40-48% of the picture's side, whole, its middle within the middle half. See scenes for
    what is returned; "eye" and "mouth" are its parts."""
    skin = _SKINS[rng.integers(len(_SKINS))]
    model = _model(rng, skin)
    diameter = rng.uniform(*_SIZE) * resolution
    middle = ground_truth.random_middle(rng, np.array([diameter, diameter]), resolution)
    canvas = Canvas(gradient(rng, resolution, np.array(skin), _CONTRAST, plain))
    model = model.moved(diameter / 2, middle)
    canvas.draw(model, owner=1)
    return canvas.pixels(), {"objects": [canvas.truth("face", 1, model.parts)]}


def _model(rng: np.random.Generator, skin: Color) -> Model:
    apart, high, size = rng.uniform(0.34, 0.44), -rng.uniform(0.15, 0.3), rng.uniform(0.22, 0.3)
    gaze = rng.uniform(-0.3, 0.3, size=2) * size
    low = rng.uniform(0.38, 0.5)
    eyes = [np.array([side * apart, high]) for side in (-1, 1)]
    whites = [ellipse(eye, (size, size * 1.15), _EYEBALL) for eye in eyes]
    pupils = [ellipse(eye + gaze, [size * 0.55] * 2, _PUPIL) for eye in eyes]
    mouth = _MOUTHS[rng.integers(len(_MOUTHS))]
    return Model(
        [ellipse((0, 0), (1, 1), skin), *whites, *pupils, *mouth(low, skin)],
        {"eye": eyes, "mouth": [np.array([0, low])]},
    )


def _open(y: float, skin: Color) -> list[Shape]:
    return [ellipse((0, y), (0.2, 0.28), _MOUTH)]


def _laughing(y: float, skin: Color) -> list[Shape]:
    under = [(x, y - 0.15 + 0.42 * (1 - (x / 0.5) ** 2)) for x in np.linspace(0.5, -0.5, 9)]
    return [polygon(under, _MOUTH), box(-0.4, y - 0.15, 0.4, y - 0.03, _TEETH)]


def _straight(y: float, skin: Color) -> list[Shape]:
    return [box(-0.4, y - 0.08, 0.4, y + 0.08, _MOUTH)]


_MOUTHS: tuple[Callable[[float, Color], list[Shape]], ...] = (_open, _laughing, _straight)
