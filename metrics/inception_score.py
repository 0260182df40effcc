"""Inception Score (Salimans et al. 2016): sure of each picture's class, and of many classes."""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.words import counted
from metrics.features import generated_features
from metrics.registry import MetricContext, Values, family

SPLITS = 10
SEED = 2020  # of the order in which the files of a folder are taken, whose names may go by class


@family("is{n}", extractor="inception", output="logits_unbiased", num=50_000, best="highest", reals=0)
def inception_score_50k(context: MetricContext, num: int, extractor: str, output: str) -> Values:
    """Inception Score of N generated images, mean and deviation over 10 splits."""
    logits = generated_features(context, extractor, num)[output]
    if context.compares_folders:
        logits = logits[torch.from_numpy(np.random.RandomState(SEED).permutation(len(logits)))]
    mean, deviation = inception_score(logits.double().softmax(1))
    return {"mean": mean, "std": deviation}


def inception_score(probabilities: Tensor, splits: int = SPLITS) -> tuple[float, float]:
    """Mean and standard deviation (of the splits as a population) for probabilities [N, classes].

    A split's score is exp(mean over n of sum over c of p log(p / mean p)). Raises UserError when there are fewer
    images than splits.
    """
    count = len(probabilities)
    if count < splits:
        raise UserError(
            f"{counted(count, 'image')} cannot be split in {splits}; an Inception Score needs at least {splits}"
        )
    bounds = [i * count // splits for i in range(splits + 1)]
    scores = [_score(probabilities[a:b]) for a, b in pairwise(bounds)]
    return float(np.mean(scores)), float(np.std(scores))


def _score(p: Tensor) -> float:
    gain = torch.xlogy(p, p) - torch.xlogy(p, p.mean(0, keepdim=True))
    return gain.sum(1).mean().exp().item()
