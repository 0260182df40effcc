"""Where several things go: places that keep their distance from each other and from the borders."""

import numpy as np

_TRIES = 200


def scattered(rng: np.random.Generator, count: int, margin: float, apart: float) -> np.ndarray:
    """[count, 2] in [margin, 1 - margin], `apart` from each other, or the most scattered of the tries."""
    tries = rng.uniform(margin, 1 - margin, size=(_TRIES, count, 2))
    distances = np.hypot(*np.moveaxis(tries[:, :, None] - tries[:, None], -1, 0)) + 9 * np.eye(count)
    nearest = distances.min((1, 2))
    good = np.flatnonzero(nearest >= apart)
    return tries[good[0] if good.size else nearest.argmax()]
