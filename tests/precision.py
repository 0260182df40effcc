"""Comparing in float64, where what differs from processor to processor is far below what is looked for."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def float64() -> Iterator[None]:
    """What is drawn and built in the block is of type float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
