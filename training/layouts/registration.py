"""Where the cells of a grid lie: how coordinates of layouts go with pixels (docs/method.md, section 1).

"cells": -1 and 1 are the borders of the image. A feature, a heatmap or an image of r x r is r x r equal cells, the
middle of cell i at (2i + 1) / r - 1, so that a position is one place at every resolution, and that of a feature's
cell is where convolutions and resampling have it. Heatmaps are means over their cells.
"corners" (released): -1 and 1 are the middles of the border cells at every resolution, and heatmaps are sampled there.
So at 4x4 a heatmap lies a third farther out than the feature that it meets, at 8x8 a seventh.
"""

import math

import torch
from torch import Tensor

from torch_utils.constants import axis, edges
from training.config import Registration


def positions(resolution: int, registration: Registration, like: Tensor) -> Tensor:
    """The middles of cells along an axis, [resolution], of the device and type of `like`; not to be written to."""
    middles = axis(resolution, like)
    return middles if registration == "corners" else middles * ((resolution - 1) / resolution)


def pixel_places(places: Tensor, resolution: int, registration: Registration) -> Tensor:
    """Coordinates, any shape, as numbers of cells along an axis: 0 is the middle of the first one."""
    if registration == "corners":
        return (places + 1) / 2 * (resolution - 1)
    return (places + 1) / 2 * resolution - 0.5


def profiles(centers: Tensor, spreads: Tensor, resolution: int, registration: Registration) -> Tensor:
    """exp(-(x - c)^2 / s) along an axis, for centers [..., 2] and spreads [...]: [..., 2, resolution].

    Sampled at the middles of cells, or the mean over each cell, which the error function gives exactly. As a
    heatmap is the product of its profiles, the same holds of it.
    """
    if registration == "corners":
        return torch.exp((axis(resolution, centers) - centers[..., None]).square() / -spreads[..., None, None])
    width = spreads.sqrt()[..., None, None]
    below = torch.erf((edges(resolution, centers) - centers[..., None]) / width)
    return (below[..., 1:] - below[..., :-1]) * (width * (resolution * math.sqrt(math.pi) / 4))


def resize(x: Tensor, resolution: int, registration: Registration = "corners") -> Tensor:
    """[N, C, H, W] as a square of another size; each value keeps its place.

    Bilinear; for "cells", a map that becomes smaller is averaged over the new cells.
    """
    if x.shape[2:] == (resolution, resolution):
        return x
    if registration == "cells" and max(x.shape[2:]) > resolution:
        return torch.nn.functional.interpolate(x, (resolution, resolution), mode="area")
    corners = registration == "corners"
    return torch.nn.functional.interpolate(x, (resolution, resolution), mode="bilinear", align_corners=corners)
