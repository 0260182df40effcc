"""Critters: one simple animal a picture, with ears, eyes, legs and a tail.

An animal is built around the middle of its body, which is about one unit long, with its head to the right.
"""

import numpy as np

from training.data import ground_truth
from training.scenes import colors
from training.scenes.backgrounds import gradient
from training.scenes.canvas import Canvas, Model, Shape, ellipse, polygon, stroke
from training.scenes.colors import Color

_SIZE = (0.4, 0.6)  # larger side, as a fraction of the picture's
_CONTRAST = 0.6  # of the background to the coat
_SIDES = (-1, 1)
_EYEBALL, _PUPIL = (250, 250, 250), (10, 10, 10)

Part = tuple[list[Shape], list[np.ndarray]]  # shapes, and the middle of each


def critter(rng: np.random.Generator, resolution: int, plain: bool = False) -> tuple[np.ndarray, dict]:
    """One animal, its larger side 40-60% of the picture's, whole, its middle within the middle half, facing
    left or right, on a two-colour gradient. See scenes for what is returned."""
    coat = colors.random_color(rng)
    model = _placed(rng, _model(rng, coat), resolution)
    canvas = Canvas(gradient(rng, resolution, np.array(coat), _CONTRAST, plain))
    canvas.draw(model, owner=1)
    return canvas.pixels(), {"objects": [canvas.truth("critter", 1, model.parts, coat)]}


def _model(rng: np.random.Generator, coat: Color) -> Model:
    body = np.array([rng.uniform(0.42, 0.56), rng.uniform(0.24, 0.36)])
    head = np.array([rng.uniform(0.38, 0.58), -rng.uniform(0.25, 0.45)])
    skull = rng.uniform(0.22, 0.3)
    shade = colors.mixed(coat, colors.BLACK, 0.3)
    tail, tail_middles = _tail(rng, body, shade)
    legs, leg_middles = _legs(rng, body, shade)
    ears, ear_middles = _ears(rng, head, skull, colors.mixed(coat, colors.random_color(rng), 0.5))
    eyes, eye_middles = _eyes(head, skull)
    trunk, face = ellipse((0, 0), body, coat), ellipse(head, (skull, skull), coat)
    return Model(
        [*tail, *legs, trunk, *ears, face, *eyes],
        {"head": [head], "ear": ear_middles, "eye": eye_middles, "leg": leg_middles, "tail": tail_middles},
    )


def _tail(rng: np.random.Generator, body: np.ndarray, color: Color) -> Part:
    root = np.array([-body[0] * 0.9, -0.05])
    tip = np.array([-body[0] - rng.uniform(0.12, 0.3), -rng.uniform(0, 0.4)])
    return [stroke(root, tip, 0.1, color)], [(root + tip) / 2]


def _legs(rng: np.random.Generator, body: np.ndarray, color: Color) -> Part:
    ground, width = body[1] + rng.uniform(0.2, 0.4), rng.uniform(0.1, 0.16)
    across = body[0] * np.array([-0.7, -0.3, 0.3, 0.7])
    legs = [stroke((x, 0), (x, ground), width, color) for x in across]
    return legs, [np.array([x, (ground + body[1]) / 2]) for x in across]


def _ears(rng: np.random.Generator, head: np.ndarray, skull: float, color: Color) -> Part:
    height, half = skull * rng.uniform(0.8, 1.6), skull * 0.42
    triangles = [
        head + skull * np.array([side * 0.6, -0.65]) + np.array([(-half, 0), (0.3 * half * side, -height), (half, 0)])
        for side in _SIDES
    ]
    return [polygon(points, color) for points in triangles], [points.mean(axis=0) for points in triangles]


def _eyes(head: np.ndarray, skull: float) -> Part:
    middles = [head + skull * np.array([x, -0.1]) for x in (-0.1, 0.6)]
    gaze = np.array([skull * 0.06, 0])
    eyeballs = [ellipse(middle, [skull * 0.28] * 2, _EYEBALL) for middle in middles]
    pupils = [ellipse(middle + gaze, [skull * 0.14] * 2, _PUPIL) for middle in middles]
    return [*eyeballs, *pupils], middles


def _placed(rng: np.random.Generator, model: Model, resolution: int) -> Model:
    """The model in pixels of the picture."""
    low, high = model.bounds()
    scale = rng.uniform(*_SIZE) * resolution / (high - low).max()
    middle = ground_truth.random_middle(rng, (high - low) * scale, resolution)
    facing = np.array([scale * rng.choice(_SIDES), scale])
    return model.moved(facing, middle - (low + high) / 2 * facing)
