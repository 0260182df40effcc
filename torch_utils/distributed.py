"""The processes that train or measure together: which one this is, and what they exchange.

Everything also works without other processes, where it does nothing.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.parsing import of_environment
from torch_utils import slurm
from torch_utils.devices import choose_device
from torch_utils.parent import end_with_parent

TIMEOUT = timedelta(minutes=60)  # others wait this long while the first rank writes files or measures

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """This process among `size` that work together; `rank` counts from 0, `device` is where this one computes."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that writes files and talks to people."""
        return self.rank == 0

    def ready(self) -> None:
        """Called before every exchange, when all that this rank needs for it is there (see agreement.py)."""

    def mean_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the ranks; one reduction for all of them."""
        if self.size > 1 and tensors:
            self.reduce_([t.div_(self.size) for t in tensors])

    def mean(self, x: Tensor) -> Tensor:
        """The mean of the ranks' x; gradients flow back to all of them."""
        if self.size == 1:
            return x
        self.ready()
        return _Mean.apply(x, self.size)

    def reduce_(self, tensors: Sequence[Tensor], operation: str = "sum") -> None:
        """Replace each tensor by the "sum", "min" or "max" over the ranks, in one reduction. All have one type."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        self.ready()
        dist.all_reduce(flat, _OPERATIONS[operation])
        scatter_(flat, tensors)

    def gather_rows(self, x: Tensor) -> Tensor:
        """The rows of all ranks' x [n, ...] one after the other, on every rank; n may differ from rank to rank."""
        if self.size == 1:
            return x
        counts = [torch.zeros([1], dtype=torch.int64, device=self.device) for _ in range(self.size)]
        self.ready()
        dist.all_gather(counts, torch.tensor([len(x)], device=self.device))
        longest = max(int(count) for count in counts)
        padded = torch.zeros([longest, *x.shape[1:]], dtype=x.dtype, device=self.device)
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        self.ready()
        dist.all_gather(parts, padded)
        return torch.cat([part[: int(count)] for part, count in zip(parts, counts, strict=True)]).to(x.device)

    def share(self, value: T) -> T:
        """Rank 0's value (anything that pickles), on every rank."""
        if self.size == 1:
            return value
        box: list[Any] = [value]
        self.ready()
        dist.broadcast_object_list(box, device=self.device)
        return box[0]

    def first(self, function: Callable[[], T]) -> T:
        """Call `function` on rank 0 only; its value, or its UserError, on every rank."""
        found: tuple[T | None, str | None] = (None, None)
        if self.is_first:
            try:
                found = function(), None
            except UserError as caught:
                found = None, str(caught)
        value, error = self.share(found)
        if error is not None:
            raise UserError(error)
        return cast(T, value)


ALONE = World()  # a single process, on the CPU

_OPERATIONS = {"sum": dist.ReduceOp.SUM, "min": dist.ReduceOp.MIN, "max": dist.ReduceOp.MAX}


class _Mean(torch.autograd.Function):
    """Every rank's x is a part of every rank's mean, so what comes back to it is a mean, too."""

    @staticmethod
    def forward(ctx, x: Tensor, size: int) -> Tensor:
        ctx.size = size
        y = x / size
        dist.all_reduce(y)
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        return _Mean.apply(grad, ctx.size), None


def scatter_(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """Copy the elements of `flat` [n] into `tensors`, in order."""
    parts = flat.split([t.numel() for t in tensors])
    torch._foreach_copy_(list(tensors), [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)])


def current() -> World:
    """The world that `joined` has entered; that of a single process on the CPU outside of it."""
    if not (dist.is_available() and dist.is_initialized()):
        return World()
    device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")
    return World(dist.get_rank(), dist.get_world_size(), device)


def is_launched() -> bool:
    """Whether torchrun, srun, or another launcher that sets torchrun's variables started this process."""
    slurm.adopt(os.environ)
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def launched_size() -> int:
    """How many processes the launcher has started; 1 without one."""
    return of_environment("WORLD_SIZE", 1) if is_launched() else 1


@contextmanager
def joined(device: str) -> Iterator[World]:
    """Meet the other processes that the launcher started, for as long as the block lasts.

    device: "cuda", "cpu" or "auto"; each process of a machine gets a GPU of its own (NCCL), or its share of the CPU's
    cores (gloo). Raises UserError when a process has no GPU. Without a launcher: a world of one.
    """
    if not is_launched():
        yield World(device=choose_device(device))
        return
    end_with_parent()
    chosen = choose_device(device)
    local = of_environment("LOCAL_RANK", 0)
    if chosen.type == "cuda":
        chosen = choose_device(f"cuda:{local}")
        torch.cuda.set_device(chosen)
    else:
        _share_cores()
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        yield World(dist.get_rank(), dist.get_world_size(), chosen)
    finally:
        dist.destroy_process_group()


def _share_cores() -> None:
    """The processes of this machine divide its cores; with more threads than cores each waits for the others."""
    together = max(of_environment("LOCAL_WORLD_SIZE", 1), 1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(min(torch.get_num_threads(), max(cores // together, 1)))
