"""Balls: one shaded ball a picture, on a two-colour gradient: what a network of a few minutes can learn to draw.

Nothing in it is smaller than a third of the ball, and its light stands where the eye expects it: a part that the lower
levels of a layout can own. A ball has a radius of 1 around (0, 0).
"""

import numpy as np

from training.data import ground_truth
from training.scenes.backgrounds import gradient
from training.scenes.canvas import Canvas, Model, ellipse
from training.scenes.colors import BLACK, NAMED, WHITE, Color, mixed

_SIZE = (0.36, 0.48)  # diameter, as a fraction of the picture's side; below half, so that a row's median is background
_CONTRAST = 0.8  # of the background to the ball
_LIGHT = (-0.3, -0.35)  # where light falls on it
_RINGS = 12  # of which shading is made


def ball(rng: np.random.Generator, resolution: int, plain: bool = False) -> tuple[np.ndarray, dict]:
    """One ball of six colors, its diameter 36-48% of the picture's side, whole, its middle within the middle half. See
    scenes for what is returned; "light" is its part."""
    color = list(NAMED.values())[rng.integers(len(NAMED))]
    diameter = rng.uniform(*_SIZE) * resolution
    middle = ground_truth.random_middle(rng, np.array([diameter, diameter]), resolution)
    canvas = Canvas(gradient(rng, resolution, np.array(color), _CONTRAST, plain))
    model = _model(color).moved(diameter / 2, middle)
    canvas.draw(model, owner=1)
    return canvas.pixels(), {"objects": [canvas.truth("ball", 1, model.parts, color)]}


def _model(color: Color) -> Model:
    """Rings around a point on the way to the light, from dark ones outside to light ones inside."""
    dark, light = mixed(color, BLACK, 0.45), mixed(color, WHITE, 0.6)
    rings = []
    for ring in range(_RINGS):
        inwards = ring / _RINGS
        shade = mixed(dark, color, 2 * inwards) if inwards < 0.5 else mixed(color, light, 2 * inwards - 1)
        rings.append(ellipse(np.array(_LIGHT) * inwards, [1 - inwards] * 2, shade))
    return Model(rings, {"light": [np.array(_LIGHT)]})
