"""Precision and recall, density and coverage: which pictures lie among the nearest neighbours of the other set.

Precision and recall after Kynkäänniemi et al. 2019, density and coverage after Naeem et al. 2020. Distances are
float32 (float16, which the first implementations used, changes the values), computed in blocks of at most BLOCK_BYTES.
Memory: the features twice, and three blocks: 4.1 GB for 50,000 real and 50,000 generated images with 4096 features.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.words import counted
from metrics.extractors.base import full_precision
from metrics.features import generated_features, real_features
from metrics.registry import MetricContext, Values, comparison

PR_NEIGHBORS, DC_NEIGHBORS = 3, 5
MAX_REAL = 200_000
BLOCK_BYTES = 1 << 28  # of one block of distances; up to three of them exist at a time


class Agreement(NamedTuple):
    """Shares in [0, 1]; the density may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float


_vgg16 = partial(comparison, extractor="vgg16", output="fc2_relu", at_most=MAX_REAL, best="highest")
_random = partial(comparison, extractor="random", output="pooled", at_most=MAX_REAL, best="highest")


@_vgg16("pr{n}3", "Precision and recall by 3 nearest neighbours", reals=PR_NEIGHBORS + 1)
@_random("rpr{n}3", "Precision and recall on random features", reals=PR_NEIGHBORS + 1)
def precision_recall(context: MetricContext, num: int, max_real: int | None, extractor: str, output: str) -> Values:
    """Of `num` generated images and `max_real` real ones, or all."""
    found = _measure(context, num, max_real, extractor, output, PR_NEIGHBORS)
    return {"precision": found.precision, "recall": found.recall}


@_vgg16("dc{n}5", "Density and coverage by 5 nearest neighbours", reals=DC_NEIGHBORS + 1)
@_random("rdc{n}5", "Density and coverage on random features", reals=DC_NEIGHBORS + 1)
def density_coverage(context: MetricContext, num: int, max_real: int | None, extractor: str, output: str) -> Values:
    """Of `num` generated images and `max_real` real ones, or all."""
    found = _measure(context, num, max_real, extractor, output, DC_NEIGHBORS)
    return {"density": found.density, "coverage": found.coverage}


def _measure(
    context: MetricContext, num: int, max_real: int | None, extractor: str, output: str, k: int
) -> Agreement:
    fake = generated_features(context, extractor, num)[output]
    real = real_features(context, extractor, max_real)[output]
    return context.on_first_rank(lambda: agreement(real.to(context.device), fake.to(context.device), k))


@torch.no_grad()
def agreement(real: Tensor, fake: Tensor, k: int) -> Agreement:
    """Compare features [N, F] and [M, F], float32, by balls around each that reach to its k-th neighbour.

    Raises UserError when a set has no k-th neighbour.
    """
    for features in (real, fake):
        if len(features) <= k:
            raise UserError(
                f"among {counted(len(features), 'image')} none has {k} neighbours; at least {k + 1} are needed"
            )
    center = real.mean(0)  # near the origin less is lost when distances are computed from scalar products
    real, fake = real - center, fake - center
    real_reach, fake_reach = squared_radii(real, k), squared_radii(fake, k)
    hits = torch.zeros(len(fake), dtype=torch.int64, device=fake.device)  # real balls around each generated picture
    touched = torch.zeros(len(fake), dtype=torch.bool, device=fake.device)
    recalled, covered = [], []
    for rows, distances in blocks(real, fake):
        reach = real_reach[rows, None]
        touched |= (distances <= reach).any(0)
        recalled.append((distances <= fake_reach).any(1))
        inside = distances < reach  # in the open ball: identical sets then have the density 1
        hits += inside.sum(0)
        covered.append(inside.any(1))
    return Agreement(
        precision=_share(touched),
        recall=_share(torch.cat(recalled)),
        density=hits.double().mean().item() / k,
        coverage=_share(torch.cat(covered)),
    )


def squared_radii(features: Tensor, k: int) -> Tensor:
    """Squared distance of each of [N, F] to its k-th nearest other: [N]."""
    nearest = [d.topk(k + 1, dim=1, largest=False).values[:, k] for _, d in blocks(features, features)]
    return torch.cat(nearest)


def blocks(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Squared distances [rows, M] of some rows of a [N, F] to all of b [M, F] at a time."""
    height = max(BLOCK_BYTES // (4 * len(b)), 1)
    norms_a, norms_b = a.square().sum(1), b.square().sum(1)
    for start in range(0, len(a), height):
        rows = slice(start, start + height)
        with full_precision():
            distances = a[rows] @ b.T
        yield rows, distances.mul_(-2).add_(norms_b).add_(norms_a[rows, None]).clamp_min_(0)


def _share(flags: Tensor) -> float:
    """Exact: a mean of float32 would round."""
    return flags.sum().item() / len(flags)
