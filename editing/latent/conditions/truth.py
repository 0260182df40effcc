"""What is true of toy scenes, as numbers with names: of the largest object and the background, and of named parts.

Positions are those of training/data/ground_truth.py, (x, y) with -1 and 1 at the middles of the border pixels; colours
are from -1 to 1, as in pictures.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dnnlib.errors import UserError
from dnnlib.parsing import nearest, shown
from training.scenes.procedural import KINDS, Scene

CHANNELS = ("red", "green", "blue")
WHAT = ("scene", "points")


def draw_scenes(kind: str, count: int, resolution: int, seed: int) -> list[Scene]:
    """Random scenes of a kind of dataset_tool.py. Raises UserError for an unknown one."""
    if kind not in KINDS:
        raise UserError(f"no toy scenes '{shown(kind)}'{nearest(kind, KINDS)}")
    return [KINDS[kind](np.random.default_rng([seed, number]), resolution) for number in range(count)]


def truths(what: str, scenes: Sequence[Scene]) -> tuple[tuple[str, ...], np.ndarray]:
    """Names, and values [N, C] float32, of what differs from scene to scene.

    what: "scene", attributes; "points", the positions of parts that every scene has as many of.
    Raises UserError when the scenes have no such parts.
    """
    described = [attributes(*scene) if what == "scene" else key_points(scene[1]) for scene in scenes]
    names = [name for name in described[0] if all(name in each for each in described)]
    values = np.array([[each[name] for name in names] for each in described], dtype=np.float32)
    varies = values.reshape(len(scenes), -1).std(0) > 1e-4 if names else np.zeros(0, dtype=bool)
    if not varies.any():
        raise UserError("these scenes have no named parts in common; take scene: in the place of points:")
    return tuple(name for name, keep in zip(names, varies, strict=True) if keep), values[:, varies]


def attributes(pixels: np.ndarray, scene: Mapping[str, Any]) -> dict[str, float]:
    """Of one scene: the number of objects, where the largest is, its size, aspect and colour; the background's colour.

    Size is the root of its box's area, in half sides of the picture; aspect is width over height. Colours are medians,
    over the inner half of the object's box and over all that no box covers.
    """
    boxes = np.array([thing["box"] for thing in scene["objects"]])
    largest = int(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).argmax())
    x0, y0, x1, y1 = boxes[largest]
    x, y = scene["objects"][largest]["center"]
    found = {
        "count": len(boxes),
        "x": x,
        "y": y,
        "size": ((x1 - x0) * (y1 - y0)) ** 0.5,
        "aspect": (x1 - x0) / (y1 - y0),
    }
    colors = pixels / 127.5 - 1
    inner = np.array([x0, y0, x1, y1]) * 0.5 + np.array([x0 + x1, y0 + y1] * 2) * 0.25
    everywhere = np.zeros(pixels.shape[:2], dtype=bool)
    covered = np.any([_inside(box, everywhere.shape) for box in boxes], axis=0)
    for name, where in (("", _inside(inner, everywhere.shape)), ("background_", ~covered)):
        chosen = colors[where if where.any() else ~everywhere]
        found |= {f"{name}{channel}": value for channel, value in zip(CHANNELS, np.median(chosen, 0), strict=True)}
    return {name: float(value) for name, value in found.items()}


def key_points(scene: Mapping[str, Any]) -> dict[str, float]:
    """Positions of the named parts of a scene's objects, such as eye0_x."""
    found: dict[str, float] = {}
    for number, thing in enumerate(scene["objects"]):
        before = "" if len(scene["objects"]) == 1 else f"object{number}_"
        for name, points in thing.get("parts", {}).items():
            for index, (x, y) in enumerate(points):
                found |= {f"{before}{name}{index}_x": float(x), f"{before}{name}{index}_y": float(y)}
    return found


def _inside(box: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Which pixels' middles are in a box (x0, y0, x1, y1)."""
    y, x = (np.linspace(-1, 1, side) for side in shape)
    return ((y >= box[1]) & (y <= box[3]))[:, None] & ((x >= box[0]) & (x <= box[2]))
