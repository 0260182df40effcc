"""Models to give away: a snapshot's G_ema and D as float16, a sixth of its size, without paths of the machine.

They are opened as any other snapshot (training/runs/validation.py widens the weights to float32), so every command
takes them; only `weights="G"` is refused, as G is not there.
"""

from pathlib import Path, PurePath

import torch
from torch import Tensor

from dnnlib.errors import UserError
from torch_utils.tensor_files import write_tensors
from training.config import RunConfig
from training.runs.snapshot import Snapshot, snapshot_metadata


def save_shipped(path: str | Path, snapshot: Snapshot) -> None:
    """Write the model of a snapshot atomically. Raises UserError when a weight is too large for float16 (65504)."""
    networks = {"G_ema": snapshot.generator(), "D": snapshot.discriminator()}
    tensors = {
        f"{name}.{key}": _half(f"{snapshot.path}: {name}.{key}", tensor)
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }
    write_tensors(path, tensors, snapshot_metadata(without_paths(snapshot.config), snapshot.kimg, is_half=True))


def without_paths(config: RunConfig) -> RunConfig:
    """The configuration with the bare name of the data set, and not saying what it was resumed from."""
    data = config.data.model_copy(update={"path": PurePath(config.data.path).name})
    return config.model_copy(update={"data": data, "resume": None})


def _half(what: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor.contiguous()
    half = tensor.detach().to(torch.float16).contiguous()
    if not half.isfinite().all():
        raise UserError(f"{what} has numbers that float16 does not hold (beyond 65504)")
    return half
