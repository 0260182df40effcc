"""Running statistics that stay on the device until somebody reads them."""

from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from torch_utils.distributed import World


@dataclass(frozen=True)
class ScalarSummary:
    """Of all values since the last report."""

    mean: float
    std: float
    min: float
    max: float
    count: int


WAITING = 64  # tensors of a name that are kept before their sums are made, all in one go: losses of a few hundred bytes


class RunningStatistics:
    """Collects named tensors of any shape without waiting for the device; what is NaN or Inf is left out.

    `state_dict` and `load_state_dict` carry what was collected across a restart.
    """

    def __init__(self):
        self._waiting: dict[str, list[Tensor]] = {}
        self._moments: dict[str, Tensor] = {}  # [count, sum, sum of squares], float64
        self._ranges: dict[str, Tensor] = {}  # [min, -max], float64

    @torch.no_grad()
    def add(self, name: str, values: Tensor) -> None:
        """Take in all finite elements of `values`, which may change afterwards."""
        waiting = self._waiting.setdefault(name, [])
        waiting.append(values.detach().clone())
        if len(waiting) >= WAITING:
            self._sum_up(name)

    @torch.no_grad()
    def _sum_up(self, name: str) -> None:
        """Sums of what waits, added one after the other: the same whenever it is done."""
        for _, equal in groupby(self._waiting.pop(name, ()), key=lambda values: (values.shape, values.dtype)):
            values = torch.stack([one.flatten() for one in equal]).to(torch.float64)  # [times, elements]
            finite = values.isfinite()
            known = values.where(finite, 0)
            each = torch.stack([finite.sum(1).double(), known.sum(1), known.square().sum(1)], dim=1)
            low, high = values.where(finite, torch.inf).amin(), values.where(finite, -torch.inf).amax()
            extremes = torch.stack([low, -high])
            if name in self._moments:
                each = torch.cat([self._moments[name][None], each])
                extremes = torch.minimum(extremes, self._ranges[name])
            self._moments[name], self._ranges[name] = each.cumsum(0)[-1].clone(), extremes

    def _sum_up_all(self) -> None:
        for name in list(self._waiting):
            self._sum_up(name)

    def report(self, world: World | None = None) -> dict[str, ScalarSummary]:
        """Read everything, of all ranks of `world` together (this waits for the device), and start afresh.

        A name of which nothing was finite is left out.
        """
        self._combine(world or World())
        everything = {name: values.tolist() for name, values in self.state_dict().items()}
        self._moments, self._ranges = {}, {}
        return {name: _summary(*values) for name, values in everything.items() if values[0] > 0}

    def collect(self, world: World) -> None:
        """Bring what all ranks have to the first one."""
        self._combine(world)
        if not world.is_first:
            self._forget()

    def _forget(self) -> None:
        """Keep the names only: all ranks have to know the same."""
        self._moments = {name: torch.zeros_like(values) for name, values in self._moments.items()}
        self._ranges = {name: torch.full_like(values, torch.inf) for name, values in self._ranges.items()}

    def _combine(self, world: World) -> None:
        self._sum_up_all()
        names = sorted(self._moments)  # the same on every rank
        world.reduce_([self._moments[name] for name in names])
        world.reduce_([self._ranges[name] for name in names], "min")

    def state_dict(self) -> dict[str, Tensor]:
        """{name: [count, sum, sum of squares, min, -max]}, float64."""
        self._sum_up_all()
        return {name: torch.cat([moments, self._ranges[name]]) for name, moments in self._moments.items()}

    def load_state_dict(self, state: dict[str, Tensor], world: World) -> None:
        """Take over a state_dict; its values on the first rank, its names on all."""
        self._waiting.clear()
        self._moments = {name: values[:3].to(world.device) for name, values in state.items()}
        self._ranges = {name: values[3:].to(world.device) for name, values in state.items()}
        if not world.is_first:
            self._forget()


def _summary(count: float, total: float, squares: float, low: float, minus_high: float) -> ScalarSummary:
    mean = total / count
    return ScalarSummary(mean, max(squares / count - mean**2, 0.0) ** 0.5, low, -minus_high, int(count))
