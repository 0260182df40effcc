"""Backgrounds to put objects on: two-colour gradients that an object stands out from, photographs, and empty rooms.

Gradients and rooms are constant along each row, so that an object can be found again as the pixels
that differ from the median of their row.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from training.data.opening import open_image
from training.scenes import colors
from training.scenes.colors import Color

_CANDIDATES = 64  # pairs of colours among which one that stands off the object is looked for
_STEPS = np.linspace(0, 1, 5)[:, None]  # where along a gradient its distance to the object is checked
_OVERSAMPLING = 4  # photographs are kept at this many times the size at which they are shown


def gradient(
    rng: np.random.Generator, resolution: int, subject: np.ndarray | None = None, contrast: float = 0.0
) -> np.ndarray:
    """A vertical gradient between two random colours, float32 [R, R, 3] in 0..255.

    Every part of it stays at least `contrast` (see colors.distance) away from the colour `subject`;
    where no such pair of colours turns up, the most distant pair found is taken.
    """
    pairs = rng.uniform(0, 255, size=(_CANDIDATES, 2, 3))
    along = pairs[:, :1] + (pairs[:, 1:] - pairs[:, :1]) * _STEPS  # [pairs, steps, 3]
    chosen = along[0] if subject is None else colors.first_far(along, np.atleast_2d(subject), contrast)
    top, bottom = chosen[0], chosen[-1]
    down = np.linspace(0, 1, resolution)[:, None, None]
    rows = (top + (bottom - top) * down).astype(np.float32)
    return np.broadcast_to(rows, (resolution, resolution, 3))


def load_photo(path: Path, resolution: int) -> Image.Image:
    """Read a photograph as RGB, no larger than crops of `resolution` pixels need. OSError when it is damaged."""
    with open_image(path) as opened:
        photo = opened.convert("RGB")
    excess = min(photo.size) // (_OVERSAMPLING * resolution)
    return photo.reduce(excess) if excess > 1 else photo


def photo_crop(rng: np.random.Generator, photo: Image.Image, resolution: int) -> np.ndarray:
    """A random square of an RGB photograph, at least half its shorter side wide, float32 [R, R, 3] in 0..255."""
    side = min(photo.size) * rng.uniform(0.5, 1)
    left, upper = (rng.uniform(0, length - side) for length in photo.size)
    box = (left, upper, left + side, upper + side)
    crop = photo.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box)
    return np.asarray(crop, dtype=np.float32)


def wall_and_floor(resolution: int, horizon: float, wall: Color, floor: Color) -> np.ndarray:
    """[R, R, 3] in 0..255, `horizon` a fraction of the side from the top; the row that it crosses is a mixture."""
    above = np.clip(horizon * resolution - np.arange(resolution), 0, 1)[:, None, None]
    rows = above * np.array(wall) + (1 - above) * np.array(floor)
    return np.broadcast_to(rows, (resolution, resolution, 3))
