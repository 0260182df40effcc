"""Backgrounds to put objects on: two-colour gradients that an object stands out from, photographs, and empty rooms.

Gradients and rooms are constant along each row, so that an object can be found again as the pixels
that differ from the median of their row.
"""

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from training.data.bit_depth import BitDepth
from training.data.image_formats import open_image
from training.data.transforms import to_plain
from training.scenes import colors
from training.scenes.colors import Color

_CANDIDATES = 64  # pairs of colours among which one that stands off the object is looked for
_STEPS = np.linspace(0, 1, 5)[:, None]  # where along a gradient its distance to the object is checked
_OVERSAMPLING = 4  # photographs are kept at this many times the size at which they are shown


def gradient(
    rng: np.random.Generator,
    resolution: int,
    subject: np.ndarray | None = None,
    contrast: float = 0.0,
    plain: bool = False,
) -> np.ndarray:
    """A vertical gradient between two random colours, or one colour alone, float32 [R, R, 3] in 0..255.

    Every part of it stays at least `contrast` (see colors.distance) away from the colour `subject`;
    where no such pair of colours turns up, the most distant pair found is taken.
    """
    pairs = rng.uniform(0, 255, size=(_CANDIDATES, 2, 3))
    if plain:
        pairs[:, 1] = pairs[:, 0]
    along = pairs[:, :1] + (pairs[:, 1:] - pairs[:, :1]) * _STEPS  # [pairs, steps, 3]
    chosen = along[0] if subject is None else colors.first_far(along, np.atleast_2d(subject), contrast)
    top, bottom = chosen[0], chosen[-1]
    down = np.linspace(0, 1, resolution)[:, None, None]
    rows = (top + (bottom - top) * down).astype(np.float32)
    return np.broadcast_to(rows, (resolution, resolution, 3))


def load_photo(file: Path | BinaryIO, resolution: int, name: str = "") -> Image.Image:
    """Read a photograph as RGB, upright and opaque, no larger than crops of `resolution` pixels need.

    Raises OSError when it is damaged, UserError when it is unclear which of its values are black and white.
    """
    with open_image(file, name) as opened:
        depth = BitDepth()
        depth.add(name or str(file), opened)
        photo = to_plain(opened, depth)[0].convert("RGB")
    excess = min(photo.size) // (_OVERSAMPLING * resolution)
    return photo.reduce(excess) if excess > 1 else photo


def photo_crop(rng: np.random.Generator, photo: Image.Image, resolution: int) -> np.ndarray:
    """A random square of an RGB photograph, at least half its shorter side wide, float32 [R, R, 3] in 0..255."""
    side = min(photo.size) * rng.uniform(0.5, 1)
    left, upper = (rng.uniform(0, length - side) for length in photo.size)
    box = (left, upper, left + side, upper + side)
    crop = photo.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box)
    return np.asarray(crop, dtype=np.float32)


def strip_crop(rng: np.random.Generator, photo: Image.Image, width: int, height: int) -> np.ndarray:
    """A random part of an RGB photograph, as wide and as high as is asked for: float32 [height, width, 3] in 0..255.

    It is twice as high as the strip's shape has it, as floors are seen aslant.
    """
    across = min(photo.width, photo.height * width / (2 * height)) * rng.uniform(0.5, 1)
    down = across * 2 * height / width
    left, upper = rng.uniform(0, photo.width - across), rng.uniform(0, max(photo.height - down, 0))
    box = (left, upper, left + across, min(upper + down, photo.height))
    return np.asarray(photo.resize((width, height), Image.Resampling.LANCZOS, box=box), dtype=np.float32)


def wall_and_floor(resolution: int, horizon: float, wall: Color, floor: Color) -> np.ndarray:
    """[R, R, 3] in 0..255, `horizon` a fraction of the side from the top; the row that it crosses is a mixture."""
    above = np.clip(horizon * resolution - np.arange(resolution), 0, 1)[:, None, None]
    rows = above * np.array(wall) + (1 - above) * np.array(floor)
    return np.broadcast_to(rows, (resolution, resolution, 3))
