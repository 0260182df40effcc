"""Snapshots and checkpoints, written as a training writes them."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from training.config import RunConfig
from training.runs.checkpoint import BackgroundWriter
from training.runs.snapshot import snapshot_metadata
from training.state import TrainingState


def save_snapshot(path: Path, config: RunConfig, kimg: float, networks: Mapping[str, nn.Module]) -> None:
    """Of {"G": ..., "G_ema": ..., "D": ...}."""
    states = {name: network.state_dict() for name, network in networks.items()}
    tensors = {f"{name}.{key}": tensor for name, state in states.items() for key, tensor in state.items()}
    _write(path, tensors, snapshot_metadata(config, kimg))


def save_checkpoint(path: Path, config: RunConfig, state: TrainingState) -> None:
    _write(path, state.tensors(), state.metadata(config))


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    with BackgroundWriter() as writer:
        writer.submit(path, writer.snapshot(tensors), metadata)
    assert not writer.failures()
