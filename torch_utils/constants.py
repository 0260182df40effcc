"""Small tensors that never change, made once for each device: making one is a launch on a GPU."""

from functools import lru_cache

import torch
from torch import Tensor


def constant(value: float, like: Tensor) -> Tensor:
    """[] of the device and type of `like`; not to be written to."""
    return _constant(value, like.device, like.dtype)


def axis(resolution: int, like: Tensor) -> Tensor:
    """Pixel centres from -1 to 1, [resolution], of the device and type of `like`; not to be written to."""
    return _axis(resolution, like.device, like.dtype)


def edges(resolution: int, like: Tensor) -> Tensor:
    """Borders of equal cells from -1 to 1, [resolution + 1], of the device and type of `like`; not to be written to."""
    return _axis(resolution + 1, like.device, like.dtype)


def _outside_of_inference(make):
    """Such tensors may be saved for a backward pass, whoever asks first."""

    def wrapped(*arguments):
        with torch.inference_mode(False):
            return make(*arguments)

    return lru_cache(maxsize=256)(wrapped)


@_outside_of_inference
def _constant(value: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.full([], value, device=device, dtype=dtype)


@_outside_of_inference
def _axis(resolution: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.linspace(-1, 1, resolution, device=device, dtype=dtype)
