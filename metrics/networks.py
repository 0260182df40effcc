"""The network to measure, as people name it."""

import re
from pathlib import Path

from dnnlib.errors import UserError
from training.config import RunConfig
from training.networks.generator import set_memory_format
from training.runs.checkpoint import read_about
from training.runs.snapshot import Snapshot, open_snapshot, snapshot_name
from training.sampling import Model


def open_network(text: str) -> Snapshot:
    """A snapshot or checkpoint file; a run directory, for its newest snapshot; or RUN/NUMBER, for that at NUMBER kimg.

    Raises UserError when there is no such network.
    """
    path = Path(text)
    if path.name.startswith("checkpoint-") and path.is_file():
        return _open_checkpoint(path)
    if not path.exists() and path.parent.is_dir() and re.fullmatch(r"\d+", path.name):
        path = _numbered(path.parent, int(path.name))
    return open_snapshot(path)


def load_model(snapshot: Snapshot, device: str) -> Model:
    """The averaged generator of a snapshot, on `device`, as it computes fastest."""
    model = Model(snapshot.generator("G_ema"), snapshot.config, device, snapshot.kimg)
    set_memory_format(model.G, channels_last=True)
    return model


def _open_checkpoint(path: Path) -> Snapshot:
    """Its networks have the names that they have in a snapshot."""
    about = read_about(path)
    return Snapshot(path, RunConfig.model_validate(about["config"]), about["images"] / 1000)


def _numbered(run_dir: Path, kimg: int) -> Path:
    path = run_dir / snapshot_name(kimg)
    if not path.is_file():
        found = sorted(each.stem.rpartition("-")[2].lstrip("0") or "0" for each in run_dir.glob("network-snapshot-*"))
        there = f"there are {', '.join(sorted(found, key=int))}" if found else "there are none"
        raise UserError(f"{run_dir} has no snapshot at {kimg} kimg; {there}")
    return path
