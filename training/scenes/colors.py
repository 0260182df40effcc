"""Colours as (red, green, blue) in 0..255: how far apart, mixed, and drawn at random."""

from collections.abc import Sequence

import numpy as np

Color = tuple[int, int, int]

BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)

# Colours that have names: those of a description, and what other ones are called.
NAMED: dict[str, Color] = {
    "red": (220, 45, 45), "green": (45, 165, 65), "blue": (45, 80, 215), "yellow": (240, 210, 50),
    "purple": (150, 60, 180), "orange": (240, 135, 35),
}  # fmt: skip
_PALE_NAMES: dict[str, Color] = {
    "black": BLACK, "white": WHITE, "grey": (128, 128, 128), "brown": (120, 75, 40), "pink": (245, 150, 185),
}  # fmt: skip

_CANDIDATES = 64  # random colours among which one that stands off the others is looked for


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Absolute difference of colours [..., 3] in 0..255, summed over channels of the range [-1, 1]: 0 to 6."""
    return np.abs(np.subtract(a, b, dtype=np.float64)).sum(axis=-1) / 127.5


def mixed(color: Color, other: Color, amount: float) -> Color:
    """`color` with the fraction `amount` of `other`."""
    red, green, blue = (round(a + (b - a) * amount) for a, b in zip(color, other, strict=True))
    return red, green, blue


def random_color(rng: np.random.Generator) -> Color:
    """Any colour."""
    return tuple(rng.integers(0, 256, size=3).tolist())


def name_of(color: np.ndarray | Color) -> str:
    """What the nearest colour with a name is called."""
    names = {**NAMED, **_PALE_NAMES}
    return list(names)[int(distance(np.array(list(names.values())), np.asarray(color)).argmin())]


def contrasting(rng: np.random.Generator, others: Sequence[Color], contrast: float) -> Color:
    """A random colour at least `contrast` (see distance) from all of `others`, or the farthest one found."""
    candidates = rng.integers(0, 256, size=(_CANDIDATES, 3))
    return tuple(first_far(candidates[:, None], np.array(others), contrast)[0].tolist())


def first_far(candidates: np.ndarray, others: np.ndarray, contrast: float) -> np.ndarray:
    """The first candidate [k, 3] of [n, k, 3] whose k colours all keep `contrast` from all of `others` [m, 3];
    without one, the candidate that comes closest to that."""
    nearest = distance(candidates[:, :, None], others).min(axis=(1, 2))
    good = np.flatnonzero(nearest >= contrast)
    return candidates[good[0] if good.size else nearest.argmax()]
