"""Heatmaps as an augmented image shows them (docs/method.md, section 4)."""

import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from training.augment.affine import Affine
from training.config import Registration
from training.layouts.layout import EPS, HeatmapSource, registration_of
from training.layouts.registration import positions

SAMPLES = 64  # positions along an axis, of equal cells, at which heatmaps are read and averaged
FINEST = 105  # = 3 * 5 * 7: pixels between the borders, among which are all those of sizes 4, 8 and 16


@dataclass(frozen=True)
class WarpedLayout:
    """The heatmaps of `layout`, moved as the pixels of the augmented images were.

    A position p shows what the source image has at geometry(p), so its heatmap is H(geometry(p)). Where that is beyond
    the source's borders the image shows it mirrored, and so does the heatmap: D may well look at the second cat. What
    lies beyond the mirror images is black, and its heatmap 0.

    Any source of heatmaps will do, for they are read from a fine rendering (with the positions of the unmoved pixels
    among its own): the error is below 1% of an object's height for spreads above 0.05.

    image_size: where the geometry has -1 and 1 at the middles of the border pixels of such images (Augmented); None:
    at the same places as the layout.
    """

    layout: HeatmapSource
    geometry: Affine
    image_size: int | None = None

    @property
    def registration(self) -> Registration:
        return registration_of(self.layout)

    def heatmaps(self, level: int, resolution: int, floor: float = EPS) -> Tensor:
        """[N, n, resolution, resolution]."""
        if self.registration == "corners":
            return self._sampled(level, resolution, floor)
        each = math.ceil(SAMPLES / resolution)
        return F.avg_pool2d(self._averaged(level, each * resolution, floor), each)

    def _sampled(self, level: int, resolution: int, floor: float) -> Tensor:
        """At the middles of pixels, border pixels at -1 and 1 (align_corners=True): it is there that it reflects."""
        steps = math.ceil(FINEST / (resolution - 1))
        rendered = self.layout.heatmaps(level, steps * (resolution - 1) + 1, floor)
        axis = positions(resolution, "corners", rendered)
        return _read(rendered, self.geometry.grid(axis, axis), corners=True)

    def _averaged(self, level: int, resolution: int, floor: float) -> Tensor:
        """In cells of the image, -1 and 1 at its borders: the mean of four cells is what lies where they meet."""
        rendered = self.layout.heatmaps(level, 2 * resolution, floor)
        axis = positions(resolution, "cells", rendered)
        scale = (self.image_size - 1) / self.image_size if self.image_size else 1.0
        return _read(rendered, self.geometry.into((scale, 0), (scale, 0)).grid(axis / scale, axis / scale), False)


def _read(rendered: Tensor, places: Tensor, corners: bool) -> Tensor:
    """Heatmaps [N, n, R, R] at places [N, r, r, 2], mirrored at the borders, and 0 beyond the mirror images."""
    shown = (places.abs() <= 3).all(3)
    read = F.grid_sample(rendered, places, mode="bilinear", padding_mode="reflection", align_corners=corners)
    return read * shown[:, None]


def warped(layout: HeatmapSource, geometry: Affine | None, image_size: int | None = None) -> HeatmapSource:
    """`layout` under the geometry of Augmented, for images of that size; itself where nothing moved."""
    return layout if geometry is None else WarpedLayout(layout, geometry, image_size)
