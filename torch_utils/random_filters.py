"""Convolutions whose weights are random and fixed: features that need no download."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor


def random_filters(widths: Sequence[int], seed: int) -> list[Tensor]:
    """Weights [widths[i + 1], widths[i], 3, 3] of layers one behind the other: normal, of variance 2 / (9 widths[i]).

    The same on every processor.
    """
    draw = np.random.default_rng(seed)  # torch.randn rounds as the processor's vector units do
    shapes = ((co, ci, 3, 3) for ci, co in pairwise(widths))
    return [torch.from_numpy(draw.standard_normal(shape) * (2 / (9 * shape[1])) ** 0.5).float() for shape in shapes]
