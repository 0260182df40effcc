"""Where a run's curves and pictures go besides its own files: TensorBoard, Weights & Biases, Trackio.

One small adapter for all: numbers by name, pictures by name, both at a count of images. The last two are optional
packages (pip install steergan[track]); how they log in and whether they are offline is theirs to say (WANDB_MODE and
the like).
"""

import hashlib
import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from dnnlib.errors import REASON, UserError, in_one_line
from training.choices import TRACKERS

PROJECT = "steergan"

# Charts of several curves, for TensorBoard's page of custom scalars.
CHARTS = {
    "equilibrium": {
        "lowest real and highest generated score": ["Multiline", ["scores/real/min", "scores/fake/max"]],
        "mean scores": ["Multiline", ["scores/real", "scores/fake"]],
        "losses": ["Multiline", ["loss/G", "loss/D"]],
    }
}


class Tracker(Protocol):
    """Each call raises OSError when what it should note cannot be noted; a run goes on without it."""

    def scalars(self, images: int, numbers: Mapping[str, float]) -> None: ...

    def picture(self, images: int, name: str, pixels: np.ndarray) -> None:
        """pixels: uint8 [H, W, 3]."""

    def close(self) -> None: ...


def check_trackers(names: tuple[str, ...]) -> None:
    """Raises UserError, before anything is trained, where there is no such tracker or its package is missing."""
    for name in names:
        if name not in TRACKERS:
            raise UserError(f"--log: no '{name}'; there are {', '.join(TRACKERS)}, or none")
        if name != "tensorboard":
            _package(name)


def open_tracker(name: str, run_dir: Path, images: int) -> Tracker:
    """Of a run that begins or goes on at so many images. Raises UserError as check_trackers does, and OSError."""
    return Board(run_dir, images) if name == "tensorboard" else Online(name, run_dir)


class Board:
    """TensorBoard: event files in the run's directory."""

    def __init__(self, run_dir: Path, images: int):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run_dir), purge_step=images + 1)
        self._writer.add_custom_scalars(CHARTS)

    def scalars(self, images: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, images)
        self._writer.flush()

    def picture(self, images: int, name: str, pixels: np.ndarray) -> None:
        self._writer.add_image(name, pixels, images, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class Online:
    """wandb or trackio, which have the same few functions. A run that goes on takes up its own record."""

    def __init__(self, name: str, run_dir: Path):
        self._library = _package(name)
        known = hashlib.sha256(str(run_dir.resolve()).encode()).hexdigest()[:12]
        more = {"id": f"{known}", "dir": str(run_dir)} if name == "wandb" else {}
        label = run_dir.name if name == "wandb" else f"{run_dir.name}-{known[:6]}"
        self._run = self._told(lambda: self._library.init(project=PROJECT, name=label, resume="allow", **more))

    def scalars(self, images: int, numbers: Mapping[str, float]) -> None:
        self._told(lambda: self._run.log({**numbers, "kimg": images / 1000}, step=images))

    def picture(self, images: int, name: str, pixels: np.ndarray) -> None:
        self._told(lambda: self._run.log({name: self._library.Image(pixels)}, step=images))

    def close(self) -> None:
        self._told(lambda: self._run.finish())

    @staticmethod
    def _told(call: Any) -> Any:
        """What a network or a server objects to is no reason to end a training run."""
        try:
            return call()
        except Exception as error:
            raise OSError(f"{type(error).__name__}: {in_one_line(error, REASON)}") from error


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"--log={name} needs the package {name}; pip install 'steergan[track]', or {name}") from error
