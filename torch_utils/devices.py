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


_treated: dict[str, str] = {}


@contextmanager
def treat_as(kind: str, device_type: str = "meta") -> Iterator[None]:
    """Within it, code that goes different ways on different devices goes those of `kind` for tensors of another type.

    So that what a GPU would do can be counted, by tensors without contents, and tested on a CPU.
    """
    before = dict(_treated)
    _treated[device_type] = kind
    try:
        yield
    finally:
        _treated.clear()
        _treated.update(before)


def device_kind(x: torch.Tensor) -> str:
    """Type of the device of `x`, "cpu" or "cuda"; within treat_as, what it is treated as."""
    return _treated.get(x.device.type, x.device.type)


def half_precision(name: str, like: torch.Tensor) -> torch.dtype:
    """The type "float16" or "bfloat16" for what is computed of `like`; its own where a CPU would have to do float16."""
    return like.dtype if name == "float16" and device_kind(like) != "cuda" else getattr(torch, name)
