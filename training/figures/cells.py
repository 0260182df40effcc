"""Cells for tables of pictures: images, maps over images, maps alone."""

import numpy as np
import torch
from torch import Tensor

from training.layouts.registration import resize
from training.pictures.grids import HEAT, to_cells

SMALLEST, LARGEST = 128, 256  # sides of cells, pixels
MAP_SHARE = 0.65  # of a map's colour in its mixture with the image


def image_cells(images: Tensor) -> np.ndarray:
    """Images [N, C, R, R] in about [-1, 1] -> uint8 [N, side, side, 3]."""
    return to_cells(images, SMALLEST, LARGEST)


def overlay_cells(maps: Tensor, images: Tensor) -> np.ndarray:
    """Maps [N, 1, r, r] in [0, 1], resized bilinearly, over grey versions of images: uint8 [N, side, side, 3]."""
    cells = image_cells(images)
    heat = HEAT(resize(maps.float(), cells.shape[1], "cells")[:, 0].clamp(0, 1).cpu().numpy())[..., :3] * 255
    mixed = cells.mean(3, keepdims=True) * (1 - MAP_SHARE) + heat * MAP_SHARE
    return mixed.astype(np.uint8)


def map_cells(maps: Tensor, side: int) -> np.ndarray:
    """Maps [N, 1, r, r] in [0, 1] with their own pixels to be seen: uint8 [N, side, side, 3]."""
    enlarged = torch.nn.functional.interpolate(maps.float(), (side, side), mode="nearest-exact")
    return HEAT(enlarged[:, 0].clamp(0, 1).cpu().numpy(), bytes=True)[..., :3]


def spread(maps: Tensor) -> Tensor:
    """Maps [N, 1, r, r] brought to [0, 1] each, negative values too; a constant one becomes 0."""
    low, high = maps.amin((1, 2, 3), keepdim=True), maps.amax((1, 2, 3), keepdim=True)
    return (maps - low) / (high - low).clamp_min(torch.finfo(maps.dtype).tiny)


def correlation(maps: Tensor, others: Tensor) -> Tensor:
    """Pearson's r between maps of one shape, [N, 1, r, r] each: [N]; NaN where one is constant."""
    first, second = (m.flatten(1).double() - m.flatten(1).double().mean(1, keepdim=True) for m in (maps, others))
    return (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1))


def correlation_notes(values: Tensor) -> list[str]:
    """'r = 0.93', a dash where it is not known."""
    return [f"r = {value:.2f}".replace("-", "−") if np.isfinite(value) else "r: –" for value in values.tolist()]
