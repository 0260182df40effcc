"""Antialiased drawing of flat shapes that remembers which pixels belong to which object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

from training.data import ground_truth
from training.scenes.colors import Color, name_of

_SHOWN = 0.5  # share of a pixel from which on it is an object's
OVERSAMPLING = 4  # everything is drawn at this many times the size and averaged down


@dataclass(frozen=True)
class Shape:
    """A filled ellipse, given by its box (2 points), or polygon; positions (x, y) in units of the caller."""

    points: np.ndarray  # [2 or more, 2]
    color: Color
    is_ellipse: bool = False

    def moved(self, scale: float | np.ndarray, offset: np.ndarray | float) -> "Shape":
        """The shape at points * scale + offset. A scale of (-s, s) mirrors it."""
        points = self.points * scale + offset
        if self.is_ellipse:
            points = np.sort(points, axis=0)
        return Shape(points, self.color, self.is_ellipse)


@dataclass(frozen=True)
class Model:
    """A thing in units of its own: shapes in drawing order, and the positions of its named parts."""

    shapes: list[Shape]
    parts: Mapping[str, Any] = field(default_factory=dict)

    def bounds(self) -> np.ndarray:
        """[2, 2]: the smallest and the largest (x, y)."""
        points = np.concatenate([shape.points for shape in self.shapes])
        return np.stack([points.min(axis=0), points.max(axis=0)])

    def moved(self, scale: float | np.ndarray, offset: np.ndarray | float = 0.0) -> "Model":
        """The model at position * scale + offset."""
        parts = {name: np.asarray(points) * scale + offset for name, points in self.parts.items()}
        return Model([shape.moved(scale, offset) for shape in self.shapes], parts)


def ellipse(center: ArrayLike, radii: ArrayLike, color: Color) -> Shape:
    """An axis-parallel ellipse."""
    middle, reach = np.asarray(center, dtype=float), np.asarray(radii, dtype=float)
    return Shape(np.stack([middle - reach, middle + reach]), color, is_ellipse=True)


def box(x0: float, y0: float, x1: float, y1: float, color: Color) -> Shape:
    """An axis-parallel rectangle."""
    return polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color)


def polygon(points: ArrayLike, color: Color) -> Shape:
    """A filled polygon."""
    return Shape(np.asarray(points, dtype=float), color)


def stroke(start: ArrayLike, end: ArrayLike, width: float, color: Color) -> Shape:
    """A straight bar from `start` to `end`."""
    a, b = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    along = (b - a) / max(float(np.hypot(*(b - a))), 1e-9)
    side = np.array([-along[1], along[0]]) * width / 2
    return polygon(np.stack([a + side, b + side, b - side, a - side]), color)


class Canvas:
    """A square picture of `resolution` pixels; shapes are drawn in pixels from its corner."""

    def __init__(self, background: np.ndarray):
        """`background`: [R, R, 3] in 0..255."""
        self.resolution = background.shape[0]
        large = np.rint(background).astype(np.uint8).repeat(OVERSAMPLING, axis=0).repeat(OVERSAMPLING, axis=1)
        self._picture = Image.fromarray(large)
        self._owners = Image.new("L", self._picture.size)
        self._pens = ImageDraw.Draw(self._picture), ImageDraw.Draw(self._owners)

    def draw(self, model: Model, owner: int) -> None:
        """Draw over what is there; the covered pixels then belong to object number `owner` (1 to 255)."""
        for shape in model.shapes:
            # Pillow places the centre of its first pixel, not its edge, at 0.
            corners = [tuple(point) for point in shape.points * OVERSAMPLING - 0.5]
            fills: tuple[Color | int, ...] = (shape.color, owner)
            for pen, fill in zip(self._pens, fills, strict=True):
                (pen.ellipse if shape.is_ellipse else pen.polygon)(corners, fill=fill)

    def pixels(self) -> np.ndarray:
        """The picture, uint8 [R, R, 3]."""
        return np.asarray(self._picture.reduce(OVERSAMPLING))

    def shows(self, owner: int) -> bool:
        """Whether anything of object `owner` is to be seen."""
        return bool((self._owner_map() == owner).any())

    def truth(self, kind: str, owner: int, parts: Mapping[str, Any] | None = None, color: Color | None = None) -> dict:
        """What ground_truth.describe says about the visible part of object `owner`, with its mask and its colour."""
        mask = self._owner_map() == owner
        center, box = ground_truth.centroid(mask) / OVERSAMPLING, ground_truth.bounds(mask) / OVERSAMPLING
        truth = ground_truth.describe(kind, center, box, self.resolution, parts)
        truth["mask"] = ground_truth.encode_mask(self._shares(mask) >= _SHOWN)
        return truth if color is None else {**truth, "color": name_of(color)}

    def _shares(self, mask: np.ndarray) -> np.ndarray:
        """The share of every pixel, [R, R], that a mask of the oversampled picture covers."""
        side = self.resolution
        return mask.reshape(side, OVERSAMPLING, side, OVERSAMPLING).mean((1, 3))

    def _owner_map(self) -> np.ndarray:
        return np.asarray(self._owners)
