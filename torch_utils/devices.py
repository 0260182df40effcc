"""Choosing a device."""

import torch

from dnnlib.errors import UserError


def choose_device(name: str) -> torch.device:
    """"auto" (CUDA if there is one, else the CPU), "cuda", "cuda:1" or "cpu". Raises UserError when it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"unknown device '{name}'; use auto, cuda or cpu") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device '{name}' asked for, but PyTorch sees no CUDA device; use --device=cpu or auto")
    if device.type not in ("cuda", "cpu"):
        raise UserError(f"device '{name}' is not supported; use auto, cuda or cpu")
    return device
