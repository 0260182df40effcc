"""Mean and covariance of features, summed up in float64 while batches arrive."""

from dataclasses import dataclass

import torch
from torch import Tensor

from torch_utils.distributed import World


@dataclass(frozen=True)
class Moments:
    """Of `count` feature vectors: mean [F], and covariance [F, F] divided by count; float64 on the CPU."""

    count: int
    mean: Tensor
    covariance: Tensor

    @property
    def unbiased_covariance(self) -> Tensor:
        """Divided by count - 1; NaN for a single vector."""
        return self.covariance * self.count / (self.count - 1) if self.count > 1 else self.covariance * torch.nan


class FeatureStatistics:
    """Takes in features [n, F] in batches, of which the first `max_items` count; `keep` keeps them, too."""

    def __init__(self, max_items: int | None = None, keep: bool = False):
        self.max_items, self.keep, self.count = max_items, keep, 0
        self._sums: tuple[Tensor, Tensor] | None = None  # [F], and [F, F] of every vector with itself
        self._kept: list[Tensor] = []

    @property
    def width(self) -> int:
        """F; 0 before anything came."""
        return 0 if self._sums is None else len(self._sums[0])

    def add(self, features: Tensor) -> None:
        """Take in what there is still room for."""
        if self.max_items is not None:
            features = features[: self.max_items - self.count]
        if self.keep:
            self._kept.append(features)
        exact = features.double().cpu()
        if self._sums is None:
            width = features.shape[1]
            self._sums = exact.new_zeros(width), exact.new_zeros(width, width)
        self.count += len(exact)
        total, products = self._sums
        total += exact.sum(0)
        products.addmm_(exact.T, exact)

    def all(self) -> Tensor:
        """What was kept [N, F], in order of arrival."""
        return torch.cat(self._kept)

    def moments(self) -> Moments:
        """Raises ValueError before anything came."""
        if self._sums is None:
            raise ValueError("there are no features to take the moments of")
        mean, products = (each / self.count for each in self._sums)
        return Moments(self.count, mean, products - torch.outer(mean, mean))

    def over_ranks(self, world: World, width: int) -> "FeatureStatistics":
        """Statistics [F = `width`] of what all ranks have taken in, on every rank; nothing is kept."""
        zeros = torch.zeros(1 + width, width, dtype=torch.float64)
        mine = zeros if self._sums is None else torch.cat([self._sums[0][None], self._sums[1]])
        sums = world.gather_rows(mine.to(world.device)).cpu().reshape(world.size, 1 + width, width).sum(0)
        total = FeatureStatistics()
        total._sums = sums[0], sums[1:]
        counts = world.gather_rows(torch.tensor([self.count], device=world.device))
        total.count = int(counts.sum())
        return total


def moments_of(features: Tensor) -> Moments:
    """Of features [N, F]."""
    statistics = FeatureStatistics()
    for block in features.split(4096):
        statistics.add(block)
    return statistics.moments()
