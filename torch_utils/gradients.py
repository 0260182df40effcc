"""Gradients averaged over the ranks while the backward pass is still computing others."""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from torch_utils.distributed import World, scatter_

BUCKET_BYTES = 25 * 2**20


class GradientReducer:
    """Averages the gradients of `parameters` over the ranks, in one flat tensor a bucket.

    Call `begin()` before the last backward pass of a step and `finish()` after it. The first time nothing overlaps:
    it shows which parameters get a gradient, and in which order. From then on a bucket travels as soon as its
    gradients are there. Every rank computes the same kind of loss, so that the order of rank 0 serves all.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], world: World, bucket_bytes: int = BUCKET_BYTES):
        self._world, self._bucket_bytes = world, bucket_bytes
        self._parameters = list(parameters) if world.size > 1 else []
        self._buckets: list[list[int]] = []
        self._active = False
        self._arrived: list[int] = []
        self._missing: list[int] = []  # of each bucket
        self._bucket_of: dict[int, int] = {}
        self._travelling: list[tuple[Tensor, list[Tensor], dist.Work]] = []
        for index, parameter in enumerate(self._parameters):
            parameter.register_post_accumulate_grad_hook(lambda _, index=index: self._arrive(index))

    def begin(self) -> None:
        """The coming backward pass completes the gradients."""
        self._active = self._world.size > 1
        self._arrived.clear()
        self._missing = [len(bucket) for bucket in self._buckets]

    def finish(self) -> None:
        """Wait for the averages; afterwards every rank has the same gradients."""
        if not self._active:
            return
        self._active = False
        if not self._buckets:
            self._plan(self._world.share(list(self._arrived)))
        if set(self._bucket_of) != set(self._arrived):
            raise RuntimeError("the parameters that get a gradient have changed; make a new GradientReducer")
        for bucket in self._buckets[len(self._travelling) :]:
            self._send(bucket)
        for flat, gradients, work in self._travelling:
            work.wait()
            scatter_(flat, gradients)
        self._travelling.clear()

    def _arrive(self, index: int) -> None:
        if not self._active:
            return
        self._arrived.append(index)
        if index not in self._bucket_of:
            return
        self._missing[self._bucket_of[index]] -= 1
        while len(self._travelling) < len(self._missing) and self._missing[len(self._travelling)] == 0:
            self._send(self._buckets[len(self._travelling)])  # in order, so that all ranks send alike

    def _send(self, bucket: list[int]) -> None:
        found = (self._parameters[index].grad for index in bucket)
        gradients = [g for g in found if g is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients]).div_(self._world.size)
        self._travelling.append((flat, gradients, dist.all_reduce(flat, async_op=True)))

    def _plan(self, order: list[int]) -> None:
        self._buckets, size = [[]], 0
        for index in order:
            if size > self._bucket_bytes:
                self._buckets.append([])
                size = 0
            self._buckets[-1].append(index)
            self._bucket_of[index] = len(self._buckets) - 1
            size += self._parameters[index].nbytes
