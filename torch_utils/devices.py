"""Choosing a device, and telling the kinds of them apart."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dnnlib.errors import UserError


def choose_device(name: str | torch.device) -> torch.device:
    """The device "cpu", "cuda" or "cuda:N"; "auto" is cuda where there is one. Raises UserError when there is none."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"unknown device '{name}'; use auto, cpu or cuda")
    found = 1 if device.type == "cpu" else torch.cuda.device_count()
    if (device.index or 0) >= found:
        raise UserError(f"device '{name}' is not available here ({found} found); use auto or cpu")
    return device


_meta_stands_for = "meta"


@contextmanager
def meta_as(kind: str) -> Iterator[None]:
    """Within it, tensors of the meta device are treated as those of a "cuda" or "cpu" device would be.

    So that what a GPU would do can be counted where there is none.
    """
    global _meta_stands_for
    before, _meta_stands_for = _meta_stands_for, kind
    try:
        yield
    finally:
        _meta_stands_for = before


def kind_of(x: torch.Tensor) -> str:
    """Type of the device of `x`, "cpu", "cuda" or "meta"; within meta_as, of the device that meta stands for."""
    return _meta_stands_for if x.device.type == "meta" else x.device.type


def half_precision(name: str, like: torch.Tensor) -> torch.dtype:
    """The type "float16" or "bfloat16" for what is computed of `like`; its own where a CPU would have to do float16."""
    return like.dtype if name == "float16" and kind_of(like) != "cuda" else getattr(torch, name)
