"""Heatmaps as an augmented image shows them (docs/method.md, section 4)."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from training.augment.affine import Affine
from training.layouts.layout import EPS, HeatmapSource

FINEST = 105  # = 3 * 5 * 7: pixels between the borders, among which are all those of sizes 4, 8 and 16


@dataclass(frozen=True)
class WarpedLayout:
    """The heatmaps of `layout`, moved as the pixels of the augmented images were.

    A position p shows what the source image has at geometry(p), so its heatmap is H(geometry(p)). Where that is beyond
    the source's borders the image shows it mirrored, and so does the heatmap: D may well look at the second cat. What
    lies beyond the mirror images is black, and its heatmap 0.

    Any source of heatmaps will do, for they are read from a fine rendering (with the positions of the unmoved pixels
    among its own): the error is below 1% of an object's height for spreads above 0.05.
    """

    layout: HeatmapSource
    geometry: Affine

    def heatmaps(self, level: int, resolution: int, floor: float = EPS) -> Tensor:
        """[N, n, resolution, resolution]."""
        steps = math.ceil(FINEST / (resolution - 1))
        rendered = self.layout.heatmaps(level, steps * (resolution - 1) + 1, floor)
        axis = torch.linspace(-1, 1, resolution, dtype=rendered.dtype, device=rendered.device)
        positions = self.geometry.grid(axis, axis)
        shown = (positions.abs() <= 3).all(3)
        # Border pixels are at -1 and 1 (align_corners=True), and it is there that grid_sample reflects.
        warped = F.grid_sample(rendered, positions, mode="bilinear", padding_mode="reflection", align_corners=True)
        return warped * shown[:, None]


def warped(layout: HeatmapSource, geometry: Affine | None) -> HeatmapSource:
    """`layout` under the geometry of Augmented; itself where nothing moved."""
    return layout if geometry is None else WarpedLayout(layout, geometry)
