"""Checkpoint files: names, what they say of themselves, which are kept, and writing them beside the training.

A checkpoint is one safetensors file; its metadata entry "steergan-checkpoint" is a JSON text.
"""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.files import read_json, write_json
from torch_utils.tensor_files import write_tensors

VERSION = 2
ENTRY = "steergan-checkpoint"
BEST = "best.json"


def checkpoint_path(run_dir: Path, images: int) -> Path:
    """Where the checkpoint after `images` images goes."""
    return run_dir / f"checkpoint-{images:010d}.safetensors"


def checkpoints(run_dir: Path) -> list[Path]:
    """All checkpoints of a run directory, the newest first."""
    return sorted(run_dir.glob("checkpoint-*.safetensors"), reverse=True)


def latest_checkpoint(run_dir: Path) -> Path | None:
    """The newest checkpoint of a run directory that opens; None where there is none."""
    for path in checkpoints(run_dir):
        try:
            read_about(path)
        except UserError:
            continue
        return path
    return None


def read_about(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself (images, steps, config, ...). Raises UserError when it cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(ENTRY)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a readable checkpoint, perhaps cut short ({error})") from error
    if text is None:
        raise UserError(f"{path}: not a checkpoint of this project")
    about = json.loads(text)
    if about["version"] != VERSION:
        raise UserError(f"{path}: checkpoint version {about['version']}, but this program reads {VERSION}")
    return about


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint, on the CPU."""
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


# --- which are kept ---------------------------------------------------------------------------------------------


def best_record(run_dir: Path) -> dict[str, Any] | None:
    """What `note_best` was given last ("checkpoint" is its file's name, "metric", "value", ...); None before."""
    return read_json(run_dir / BEST) if (run_dir / BEST).exists() else None


def note_best(run_dir: Path, record: dict[str, Any]) -> None:
    """From now on the checkpoint that `record` names is kept instead of the best one before."""
    write_json(run_dir / BEST, record)


def drop_old_checkpoints(run_dir: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints and the best one."""
    best = best_record(run_dir)
    for path in checkpoints(run_dir)[keep:]:
        if best is None or path.name != best["checkpoint"]:
            path.unlink()


# --- writing beside the training --------------------------------------------------------------------------------


class BackgroundWriter:
    """Writes files in a thread, in the order in which they are handed over.

    `snapshot` copies tensors into memory that is used again each time, so the next one waits until the last is
    written. A file that cannot be written is reported by `failures`; the training goes on.
    """

    def __init__(self):
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._host: dict[str, Tensor] = {}
        self._pending: list[Future] = []
        self._failed: list[str] = []

    def __enter__(self) -> "BackgroundWriter":
        return self

    def __exit__(self, *error) -> None:
        self.wait()
        self._pool.shutdown()

    def snapshot(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Copies on the CPU that stay as they are until the next call."""
        self.wait()
        copies = {name: self._copy(name, tensor.detach()) for name, tensor in tensors.items()}
        if any(tensor.is_cuda for tensor in tensors.values()):
            torch.cuda.synchronize()
        return copies

    def submit(self, path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
        """Write a safetensors file of tensors from `snapshot`."""
        self._pending.append(self._pool.submit(self._attempt, path, lambda: write_tensors(path, tensors, metadata)))

    def call(self, path: Path, function: Callable[[], None]) -> None:
        """Do something about `path` when everything before is written."""
        self._pending.append(self._pool.submit(self._attempt, path, function))

    def wait(self) -> None:
        """Until everything handed over is written, or has failed."""
        for future in self._pending:
            future.result()
        self._pending.clear()

    def failures(self) -> list[str]:
        """One line for each file that could not be written since the last call."""
        failed, self._failed = self._failed, []
        return failed

    def _attempt(self, path: Path, function: Callable[[], None]) -> None:
        try:
            function()
        except OSError as error:
            self._failed.append(f"cannot write {path}: {error.strerror or error}")

    def _copy(self, name: str, tensor: Tensor) -> Tensor:
        kept = self._host.get(name)
        if kept is None or kept.dtype != tensor.dtype or kept.shape != tensor.shape or kept.stride() != tensor.stride():
            # In the tensor's own memory format: bringing it into another order is left to the thread.
            kept = torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda)
            self._host[name] = kept
        return kept.copy_(tensor, non_blocking=tensor.is_cuda)
