"""Measures of a generator and its discriminator; importing this package registers all of them (see registry)."""

from metrics import (
    centroid_co_move,
    co_move,
    equilibrium,
    frechet,
    inception_score,
    kernel,
    locality,
    mds,
    neighbors,
    path_length,
    sliced,
)

__all__ = [
    "centroid_co_move",
    "co_move",
    "equilibrium",
    "frechet",
    "inception_score",
    "kernel",
    "locality",
    "mds",
    "neighbors",
    "path_length",
    "sliced",
]
