"""Kernel distance of two sets of features (KID: Binkowski et al. 2018): squared MMD with a cubic kernel."""

import numpy as np
import torch
from torch import Tensor

from dnnlib.errors import UserError
from metrics.features import generated_features, real_features
from metrics.registry import MetricContext, Values, comparison

SUBSETS, SUBSET_SIZE = 100, 1000
SEED = 2020  # of the subsets: which images they are does not depend on the images' own seed


@comparison("kid{n}", "Kernel Inception Distance, mean of 100 subsets of 1000", extractor="inception", output="2048")
@comparison("kdd{n}", "Kernel distance on DINOv2 features", extractor="dinov2", output="cls")
@comparison("rkd{n}", "Kernel distance on random features (no KID)", extractor="random", output="pooled")
def kernel(context: MetricContext, num: int, max_real: int | None, extractor: str, output: str) -> Values:
    """Of `num` generated images to `max_real` real ones, or all."""
    fake = generated_features(context, extractor, num)[output]
    real = real_features(context, extractor, max_real)[output]
    return context.on_first_rank(lambda: {"": kernel_distance(fake, real, device=context.device)})


def kernel_distance(
    fake: Tensor,
    real: Tensor,
    subsets: int = SUBSETS,
    subset_size: int = SUBSET_SIZE,
    device: torch.device | str = "cpu",
) -> float:
    """Mean squared MMD of features [N, F] and [M, F] over random subsets, at most `subset_size` of each, in float64.

    One subset is enough where it holds everything. Raises UserError when a set has fewer than 2 images.
    """
    size = min(subset_size, len(fake), len(real))
    if size < 2:
        raise UserError(f"{size} image is no set to compare with another; a kernel distance needs at least 2 of each")
    if size == len(fake) == len(real):
        subsets = 1
    draw = np.random.RandomState(SEED)
    distances = []
    for _ in range(subsets):
        x, y = (features[draw.choice(len(features), size, replace=False)] for features in (fake, real))
        distances.append(squared_mmd(x.to(device, torch.float64), y.to(device, torch.float64)))
    return torch.stack(distances).mean().item()


def squared_mmd(x: Tensor, y: Tensor) -> Tensor:
    """Unbiased estimate for two sets [n, F] of the same size, with the kernel (x . y / F + 1)^3."""
    n = len(x)
    within = sum(k.sum() - k.diagonal().sum() for k in (cubic_kernel(x, x), cubic_kernel(y, y)))
    return within / (n * (n - 1)) - 2 * cubic_kernel(x, y).mean()


def cubic_kernel(x: Tensor, y: Tensor) -> Tensor:
    """[n, m] of [n, F] and [m, F]."""
    return (x @ y.T / x.shape[1] + 1) ** 3
