"""Weights of extractors that a recipe makes, the same everywhere (tests/golden/data/README.md, section 12)."""

import json
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

GOLDEN = Path(__file__).parents[1] / "golden" / "data" / "inception_det.npz"


def inception_shapes(file: Path = GOLDEN) -> list[tuple[str, list[int] | None]]:
    """Names and shapes of InceptionV3's tensors; None for counters."""
    names = json.loads(str(np.load(file, allow_pickle=False)["names"]))
    return [(name, shape if isinstance(shape, list) else None) for name, shape in names]


def make_state(shapes: Iterable[tuple[str, list[int] | None]], gain: float = 1.0) -> dict[str, Tensor]:
    """Every tensor from the normal numbers that its name seeds."""
    return {name: _tensor(name, shape, gain) for name, shape in shapes}


def _tensor(name: str, shape: list[int] | None, gain: float) -> Tensor:
    if shape is None:
        return torch.tensor(0)
    n = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape)
    if name.endswith(("running_mean", "bias")):
        values = 0.1 * n
    elif name.endswith("running_var"):
        values = 1 + 0.1 * abs(n)
    elif len(shape) == 1:
        values = 1 + 0.1 * n
    else:
        values = gain * n / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32))


def write_inception(path: Path, gain: float = 1.0, shapes_from: Path = GOLDEN) -> Path:
    """A weight file for --weights inception=PATH."""
    save_file(make_state(inception_shapes(shapes_from), gain), path)
    return path
