"""Statistics of real images on disk, by what they were computed from.

A file's name holds a digest of its key: the contents of the data set, how they were prepared, and the extractor.
Files appear whole or not at all, so that several processes may write the same one; one that cannot be read is as
good as none, and is written anew.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dnnlib.cache import cache_dir, cache_folder
from dnnlib.errors import UserError
from dnnlib.files import atomic_path
from dnnlib.npz_files import read_npz

VERSION = 2  # raised when files mean something else than before
FOLDER = "statistics"  # of the cache
LIMIT = 4 << 30  # bytes; more is computed again rather than kept
HEADERS = 1 << 20  # bytes of a file besides


def path_of(name: str, key: dict[str, Any]) -> Path:
    """The file for `key`; `name` is for people who look into the folder."""
    return cache_dir() / FOLDER / f"{name}-{hashlib.sha256(_text(key).encode()).hexdigest()[:32]}.npz"


def load(name: str, key: dict[str, Any]) -> dict[str, Tensor] | None:
    """What was saved for `key`; None when there is nothing, or nothing whole."""
    try:
        arrays = read_npz(path_of(name, key), LIMIT + HEADERS)
        if str(arrays.pop("key")) != _text(key) or str(arrays.pop("contents")) != _contents(arrays):
            return None
        return {entry: torch.from_numpy(values) for entry, values in arrays.items()}
    except (UserError, KeyError, TypeError, ValueError):
        return None


def save(name: str, key: dict[str, Any], tensors: dict[str, Tensor]) -> bool:
    """Keep `tensors` for `key`; returns whether that was possible (a full disk spoils no result)."""
    if sum(tensor.nbytes for tensor in tensors.values()) > LIMIT:
        return False
    arrays = {entry: tensor.numpy() for entry, tensor in tensors.items()}
    try:
        cache_folder(FOLDER)
        with atomic_path(path_of(name, key)) as temporary:
            content: dict[str, Any] = {"key": _text(key), "contents": _contents(arrays), **arrays}
            np.savez(temporary, **content)
    except (OSError, UserError):
        return False
    return True


def _contents(arrays: dict[str, np.ndarray]) -> str:
    """Which arrays there are, and their SHA-256: the zip's own sums tell nothing of one that is missing."""
    digest = hashlib.sha256()
    for entry, values in sorted(arrays.items()):
        digest.update(f"{entry} {values.dtype.str} {values.shape} ".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _text(key: dict[str, Any]) -> str:
    return json.dumps(key | {"version": VERSION}, sort_keys=True)
