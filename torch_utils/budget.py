"""A limit on the tensors that a block makes: what a file of unknown origin asks for is built within its own size."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_FACTORIES = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn}
_RANGES = {torch.arange, torch.linspace}


class OverBudget(ValueError):
    """The block asked for more than its budget."""


class ElementBudget(TorchFunctionMode):
    """A context in which tensors are made as always until they would have more than `elements` elements together.

    Then it raises OverBudget, before anything is allocated. Counts torch.empty, zeros, ones, full, rand, randn, arange
    and linspace; nothing is given back when a tensor is freed.
    """

    def __init__(self, elements: int):
        super().__init__()
        self.left = elements

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func in _FACTORIES:
            self._take(math.prod(_sizes(args, kwargs)))
        elif func in _RANGES:
            self._take(max((abs(int(value)) for value in args if isinstance(value, int | float)), default=0))
        return func(*args, **kwargs)

    def _take(self, elements: int) -> None:
        self.left -= elements
        if self.left < 0:
            raise OverBudget("it asks for more numbers than there are")


def _sizes(args: tuple, kwargs: dict) -> tuple[int, ...]:
    """The shape that a factory was asked for, given as one sequence or as several numbers."""
    first = args[0] if args else kwargs.get("size", ())
    return tuple(first) if isinstance(first, tuple | list | torch.Size) else args
