"""Work of several ranks that may fail on any of them: all come to its end, or all leave it, and none waits for another.

A collective operation waits for every rank; one that has raised an error never comes. So the ranks of a Cautious world
say before each exchange whether they got that far, and a rank that failed says so instead of exchanging anything.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist

from dnnlib.errors import UserError, as_user_error
from torch_utils.distributed import World

T = TypeVar("T")


class _Stage(IntEnum):
    EXCHANGE, END, FAILED = range(3)


class RankFailed(UserError):
    """What another rank failed at; this one has left the work, too."""


@dataclass(frozen=True)
class Cautious(World):
    """A world for one piece of work, see `together`; each of its exchanges costs a small one more."""

    _failure: list[RankFailed] = field(default_factory=list, repr=False, compare=False)

    def ready(self) -> None:
        """Raises RankFailed, on all ranks, where one of them does not come to this exchange."""
        self.meet(_Stage.EXCHANGE)

    def meet(self, stage: _Stage, said: str | None = None) -> None:
        """Tell the others where this rank is, and what was `said` by its failure."""
        if self._failure:  # work that took no notice of it must not exchange anything more
            raise self._failure[0]
        stages = [torch.zeros([1], dtype=torch.int64, device=self.device) for _ in range(self.size)]
        dist.all_gather(stages, torch.tensor([stage], device=self.device))
        if len({int(each) for each in stages}) == 1 and stage != _Stage.FAILED:
            return
        words: list[Any] = [None] * self.size
        dist.all_gather_object(words, said)
        self._failure.append(RankFailed(_first_of(words)))
        raise self._failure[0]


def together(world: World, work: Callable[[World], T]) -> T:
    """The value of `work(world)`, which all ranks call together and in which they exchange things by that world only.

    Where it raises an error on any of several ranks, all raise RankFailed at the same place, and can go on together.
    """
    if world.size == 1:
        return work(world)
    cautious = Cautious(world.rank, world.size, world.device)
    value, failure = None, None
    try:
        value = work(cautious)
    except Exception as error:
        failure = error
    if failure is None:
        cautious.meet(_Stage.END)
    else:
        cautious.meet(_Stage.FAILED, str(as_user_error(failure) or repr(failure)))
    return cast(T, value)


def _first_of(words: list[str | None]) -> str:
    """The words of the first rank that has any."""
    for rank, said in enumerate(words):
        if said is not None:
            return f"on rank {rank}: {said}" if words.count(said) < len(words) else said
    return "the ranks have come to different places"
