"""Bringing the native operators into this process, or saying once why that is impossible."""

import threading
import warnings
from pathlib import Path

import torch

from torch_utils.native import operators, toolchain  # operators: the schemas come before the kernels
from torch_utils.native.build import build
from torch_utils.native.cache import finished
from torch_utils.native.toolchain import Device, ToolError

__all__ = ["folder", "is_loaded", "load", "operators"]

_loaded: dict[str, bool] = {}
_folders: dict[str, Path] = {}
_lock = threading.Lock()


def is_loaded(device: Device) -> bool:
    """Whether there are native operators for "cpu" or "cuda"; the first call loads them, and builds them if need be.

    Where that fails there is one warning, with the cause and the cure. Nothing is loaded while torch.compile traces:
    call an operator, or this, before.
    """
    known = _loaded.get(device)
    if known is None and not torch.compiler.is_compiling():
        known = _first_load(device)
    return bool(known)


def _first_load(device: Device) -> bool:
    with _lock:
        if device not in _loaded:
            try:
                load(device)
                _loaded[device] = True
            except ToolError as error:
                _loaded[device] = False
                warnings.warn(
                    f"native operators for {device} are missing: {error.cause}. Going on with the PyTorch versions. "
                    f"Cure: {error.cure}. (STEERGAN_OPS=pytorch does without, silently.)",
                    stacklevel=2,
                )
        return _loaded[device]


def load(device: Device, retry: bool = False) -> Path:
    """Load the library for a device; returns its path. Raises ToolError when there is none and none can be built."""
    path = library(device, retry)
    try:
        torch.ops.load_library(str(path))
    except OSError as error:
        raise ToolError(f"{path} does not load: {error}", f"delete {path.parent}") from None
    _folders[device] = path.parent
    return path


def folder(device: Device) -> Path:
    """Where the library is that was loaded for a device. Raises KeyError when there is none."""
    return _folders[device]


def library(device: Device, retry: bool = False) -> Path:
    """The library's path, built where necessary. Where that is impossible, an earlier one that runs here will do."""
    try:
        return build(toolchain.find(device), retry)
    except ToolError:
        earlier = finished(device)
        if earlier is None:
            raise
        return earlier
