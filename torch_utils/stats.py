"""Running statistics that stay on the device until somebody reads them."""

from typing import NamedTuple

import torch
from torch import Tensor


class Summary(NamedTuple):
    """Of all values since the last report."""

    mean: float
    std: float
    min: float
    max: float
    count: int


class RunningStatistics:
    """Collects named tensors of any shape without waiting for the device."""

    def __init__(self):
        self._moments: dict[str, Tensor] = {}  # [count, sum, sum of squares], float64
        self._ranges: dict[str, Tensor] = {}  # [min, max]

    @torch.no_grad()
    def add(self, name: str, values: Tensor) -> None:
        """Take in all elements of `values`."""
        values = values.detach().flatten().to(torch.float64)
        moments = torch.stack([torch.ones_like(values).sum(), values.sum(), values.square().sum()])
        extremes = torch.stack([values.min(), values.max()])
        if name in self._moments:
            moments = moments + self._moments[name]
            low, high = self._ranges[name], extremes
            extremes = torch.stack([torch.minimum(low[0], high[0]), torch.maximum(low[1], high[1])])
        self._moments[name], self._ranges[name] = moments, extremes

    def report(self) -> dict[str, Summary]:
        """Read everything (this waits for the device) and start afresh."""
        result = {}
        for name, moments in self._moments.items():
            count, total, squares = moments.tolist()
            mean = total / count
            deviation = max(squares / count - mean**2, 0.0) ** 0.5
            result[name] = Summary(mean, deviation, *self._ranges[name].tolist(), int(count))
        self._moments.clear()
        self._ranges.clear()
        return result
