"""The network to measure, as people name it."""

import re
from pathlib import Path

import torch

from dnnlib.errors import UserError
from training.networks.generator import set_memory_format
from training.runs.snapshot import Snapshot, open_snapshot, snapshots
from training.sampling import Model


def open_network(text: str) -> Snapshot:
    """A snapshot or checkpoint file; a run directory, for its newest snapshot; or RUN/NUMBER, for that at NUMBER kimg.

    Raises UserError when there is no such network.
    """
    path = Path(text)
    if not path.exists() and path.parent.is_dir() and re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", path.name):
        path = _numbered(path.parent, float(path.name))
    return open_snapshot(path)


def load_model(snapshot: Snapshot, device: str | torch.device) -> Model:
    """The averaged generator of a snapshot, on `device`, as it computes fastest."""
    model = Model(snapshot.generator("G_ema"), snapshot.config, device, snapshot.kimg)
    set_memory_format(model.G, channels_last=True)
    return model


def _numbered(run_dir: Path, kimg: float) -> Path:
    """The snapshot at `kimg`, or the only one that rounds to it."""
    found = snapshots(run_dir)
    near = [number for number in found if round(number) == kimg]
    if kimg in found or len(near) == 1:
        return found[kimg if kimg in found else near[0]]
    there = f"there are {', '.join(f'{number:g}' for number in found)}" if found else "there are none"
    raise UserError(f"{run_dir} has no snapshot at {kimg:g} kimg; {there}")
