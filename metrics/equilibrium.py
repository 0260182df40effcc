"""How far apart the discriminator holds real and generated images (EqGAN-SA, section 4: DI; and W).

Scores are the discriminator's logits. Closer to 0 is nearer the equilibrium of the two networks.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dnnlib.errors import UserError
from dnnlib.words import counted
from metrics.registry import SCORED, MetricContext, Values, metric
from training.networks.backbones import DiscriminatorNetwork

IMAGES = SCORED  # real ones, and as many generated ones, in a draw
DRAWS = 200


class Scores(NamedTuple):
    """Logits of all draws, float64 [draws, IMAGES] each."""

    real: Tensor
    fake: Tensor


def disequilibrium(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """DI = min(real) - max(fake), of [..., N] over the last axis."""
    return real_scores.amin(-1) - fake_scores.amax(-1)


def wasserstein(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """W = mean(real) - mean(fake), of [..., N] over the last axis."""
    return real_scores.mean(-1) - fake_scores.mean(-1)


def overlap(real_scores: Tensor, fake_scores: Tensor) -> Values:
    """How well one score tells real from generated, of [draws, N] all together: what DI below 0 does not say.

    auc: the chance that a real image scores higher than a generated one (Mann-Whitney; 0.5: D cannot tell them apart,
    1: it always can). d_prime: the difference of the means in units of the root of the mean variance.
    """
    real, fake = real_scores.flatten().sort().values, fake_scores.flatten().sort().values
    below = torch.searchsorted(fake, real).double().mean()
    upto = torch.searchsorted(fake, real, right=True).double().mean()
    deviation = ((real.var(correction=0) + fake.var(correction=0)) / 2).sqrt()
    return {
        "auc": ((below + upto) / (2 * len(fake))).item(),
        "d_prime": ((real.mean() - fake.mean()) / deviation).item(),
    }


@metric("di", num=DRAWS, unit="draws", uses_truncation_and_layout=True, best="equilibrium", reals=IMAGES)
def di(context: MetricContext, num: int) -> Values:
    """Disequilibrium: lowest score of 64 real images minus highest of 64 generated ones, mean over draws."""
    real, fake = _shared_scores(context, num)
    values = _mean_and_error("di", disequilibrium(real, fake))
    ends = {"min_real": real.amin(1).mean().item(), "max_fake": fake.amax(1).mean().item()}
    return values | ends | overlap(real, fake)


@metric("w", num=DRAWS, unit="draws", uses_truncation_and_layout=True, best="equilibrium", reals=IMAGES)
def w(context: MetricContext, num: int) -> Values:
    """Wasserstein gap: mean score of 64 real images minus mean of 64 generated ones, mean over draws."""
    real, fake = _shared_scores(context, num)
    values = _mean_and_error("w", wasserstein(real, fake))
    return values | {"mean_real": real.mean().item(), "mean_fake": fake.mean().item()}


@torch.inference_mode()
def draw_scores(context: MetricContext, num: int) -> Scores:
    """Scores of `num` draws; the first draws are the same whatever `num` is.

    Real images of a draw are all different. Raises UserError when the data set has too few images.
    """
    available = len(context.dataset)
    if available < IMAGES:
        raise UserError(
            f"{context.dataset.name}: {counted(available, 'image')}, too few; di and w compare {IMAGES} at a time"
        )
    rng = np.random.default_rng(context.seed)
    real, fake = [], []
    for _ in tqdm(range(num), desc="scores", unit="draw", leave=False, disable=context.options.hides_bars):
        images, labels = context.real_images(rng.choice(available, IMAGES, replace=False))
        real.append(score(context.D, images, labels, context.batch_size))
        labels = context.random_labels(IMAGES, rng)
        seeds = rng.integers(2**31, size=IMAGES).tolist()
        images = context.generate(seeds, labels)
        fake.append(score(context.D, images, labels, context.batch_size))
    return Scores(torch.stack(real), torch.stack(fake))


def score(D: DiscriminatorNetwork, images: Tensor, labels: Tensor | None, batch_size: int) -> Tensor:
    """Logits of images [N, C, R, R], float64 [N] on the CPU.

    Minibatch standard deviation sees the same groups as in one batch of N, whatever `batch_size`: passes are cut
    between groups. Raises UserError when N is no multiple of the group size.
    """
    count = len(images)
    group = min(D.config.mbstd_group_size or count, count)
    if count % group:
        raise UserError(f"mbstd_group_size {group} does not divide the {count} images scored together")
    members = torch.arange(count, device=images.device).reshape(group, count // group)
    logits = torch.empty(count, dtype=torch.float64)
    for part in members.split(max(batch_size // group, 1), dim=1):
        chosen = part.flatten()
        scores = D(images[chosen], None if labels is None else labels[chosen]).logits
        logits[chosen.cpu()] = scores.double().mean(1).cpu()
    return logits


def _shared_scores(context: MetricContext, num: int) -> Scores:
    return context.shared(("scores", num), lambda: draw_scores(context, num))


def _mean_and_error(name: str, per_draw: Tensor) -> Values:
    """Mean and its standard error (unknown, NaN, with one draw)."""
    spread = per_draw.std().item() if len(per_draw) > 1 else float("nan")
    return {name: per_draw.mean().item(), f"{name}_se": spread / len(per_draw) ** 0.5}
