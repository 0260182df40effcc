"""Statistics of real images on disk, by what they were computed from.

A file's name holds a digest of its key: the contents of the data set, how they were prepared, and the extractor.
Files appear whole or not at all, so that several processes may write the same one; one that cannot be read is as
good as none, and is written anew.
"""

import hashlib
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dnnlib.cache import cache_dir
from dnnlib.errors import UserError
from dnnlib.files import atomic_path, make_dir

VERSION = 1  # raised when files mean something else than before
LIMIT = 4 << 30  # bytes; more is computed again rather than kept


def path_of(name: str, key: dict[str, Any]) -> Path:
    """The file for `key`; `name` is for people who look into the folder."""
    return cache_dir() / "statistics" / f"{name}-{hashlib.sha256(_text(key).encode()).hexdigest()[:32]}.npz"


def load(name: str, key: dict[str, Any]) -> dict[str, Tensor] | None:
    """What was saved for `key`; None when there is nothing, or nothing whole."""
    try:
        with np.load(path_of(name, key), allow_pickle=False) as file:
            if str(file["key"]) != _text(key):
                return None
            return {entry: torch.from_numpy(file[entry]) for entry in file.files if entry != "key"}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def save(name: str, key: dict[str, Any], tensors: dict[str, Tensor]) -> bool:
    """Keep `tensors` for `key`; returns whether that was possible (a full disk spoils no result)."""
    if sum(tensor.nbytes for tensor in tensors.values()) > LIMIT:
        return False
    path = path_of(name, key)
    try:
        make_dir(path.parent)
        with atomic_path(path) as temporary:
            np.savez(temporary, key=_text(key), **{entry: tensor.numpy() for entry, tensor in tensors.items()})
    except (OSError, UserError):
        return False
    return True


def _text(key: dict[str, Any]) -> str:
    return json.dumps(key | {"version": VERSION}, sort_keys=True)
