"""Where objects are and how far they went; positions are (x, y) in [-1, 1], x to the right and y down.

What -1 and 1 are is a model's own (training/layouts/registration.py): "cells", the borders of the image, or "corners",
the middles of its border pixels.
"""

import torch
from torch import Tensor

from training.config import Registration
from training.layouts.registration import positions

MIN_PIXELS = 4  # fewer than that are no object


def centroids(masks: Tensor, registration: Registration = "corners") -> Tensor:
    """Mean positions (x, y) of the pixels in masks [N, H, W]: [N, 2], NaN for fewer than MIN_PIXELS."""
    weights = masks.float()
    height, width = masks.shape[1:]
    total = weights.sum((1, 2))
    x = weights.sum(1) @ positions(width, registration, weights)
    y = weights.sum(2) @ positions(height, registration, weights)
    means = torch.stack([x, y], 1) / total[:, None].clamp_min(1)
    return means.where(total[:, None] >= MIN_PIXELS, torch.nan)


def co_move_ratio(before: Tensor, after: Tensor, offset: Tensor) -> Tensor:
    """(p . q) / |p|^2 for commanded offsets p, [2] or [N, 2], and seen displacements q = after - before [N, 2]: [N]."""
    return ((after - before) * offset).sum(-1) / offset.square().sum(-1)


def half_width(values: Tensor) -> float:
    """Half the width of the normal 95% confidence interval of a mean of values [N]; NaN for fewer than two."""
    if len(values) < 2:
        return float("nan")
    return 1.96 * values.double().std().item() / len(values) ** 0.5
