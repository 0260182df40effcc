"""Checkpoint files: names, what they say of themselves, which are kept, and writing them beside the training.

A checkpoint is one safetensors file; its metadata entry "steergan-checkpoint" is a JSON text.
"""

import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.files import write_json
from dnnlib.json_files import read_json
from torch_utils.tensor_files import open_tensors, write_tensors
from training.runs.validation import CHECKPOINT, VERSIONS, Amount, open_stored

ENTRY, VERSION = CHECKPOINT, VERSIONS[CHECKPOINT]
BEST = "best.json"


def checkpoint_path(run_dir: Path, images: int) -> Path:
    """Where the checkpoint after `images` images goes."""
    return run_dir / f"checkpoint-{images:010d}.safetensors"


def checkpoints(run_dir: Path) -> list[Path]:
    """All checkpoints of a run directory, the newest first."""
    return [path for _, path in sorted(_numbered(run_dir).items(), reverse=True)]


def _numbered(run_dir: Path) -> dict[int, Path]:
    paths = run_dir.glob("checkpoint-*.safetensors")
    found = ((re.fullmatch(r"checkpoint-([0-9]{10,18})", path.stem), path) for path in paths)
    return {int(match[1]): path for match, path in found if match}


def latest_checkpoint(run_dir: Path) -> Path | None:
    """The newest checkpoint of a run directory whose description can be read; None where there is none."""
    return next((path for path in checkpoints(run_dir) if _objection(path) is None), None)


def needed_checkpoint(run_dir: Path) -> Path | None:
    """As latest_checkpoint. Raises UserError when there are some, but not one of them can be read."""
    latest = latest_checkpoint(run_dir)
    if latest is None:
        refuse({path: _objection(path) or "" for path in checkpoints(run_dir)}, run_dir)
    return latest


def refuse(reasons: Mapping[Path, str], run_dir: Path) -> None:
    """Raises UserError when there are checkpoints that cannot be used, for the first of these reasons."""
    if reasons:
        what = "its only checkpoint" if len(reasons) == 1 else f"none of its {len(reasons)} checkpoints"
        raise UserError(
            f"{run_dir}: {what} can{'not' * (len(reasons) == 1)} be read, and nothing was changed "
            f"({next(iter(reasons.values()))}); restore one, begin anew with --new, or start from a snapshot's weights"
        )


def _objection(path: Path) -> str | None:
    """Why a checkpoint's description cannot be read; None where it can."""
    try:
        read_about(path)
    except UserError as error:
        return str(error)
    return None


def read_about(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself (images, steps, config, ...). Raises UserError when it cannot be read."""
    return open_stored(path, [CHECKPOINT]).about


def is_whole(path: Path) -> bool:
    """Whether all tensors of a checkpoint are as they were written; reads all of it."""
    try:
        open_tensors(path).check()
    except UserError:
        return False
    return True


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint, on the CPU. Raises UserError when one is damaged."""
    return open_tensors(path).read()


# --- which are kept ---------------------------------------------------------------------------------------------


class _Best(BaseModel):
    metric: str
    quantity: str
    value: float
    badness: float
    kimg: Amount
    checkpoint: str
    snapshot: str


def best_record(run_dir: Path) -> dict[str, Any] | None:
    """What `note_best` was given last: its metric and quantity, value, badness (its score to minimize), kimg, and the
    names of its checkpoint and snapshot. None before. Raises UserError when the file is damaged.
    """
    path = run_dir / BEST
    if not path.exists():
        return None
    record = read_json(path)
    try:
        _Best.model_validate(record)
    except ValidationError as error:
        raise UserError(f"{path} is damaged: it is no record of a best checkpoint") from error
    return record


def known_best(run_dir: Path) -> dict[str, Any] | None:
    """As best_record; None where the file is damaged, too."""
    try:
        return best_record(run_dir)
    except UserError:
        return None


def note_best(run_dir: Path, record: dict[str, Any]) -> None:
    """From now on the checkpoint and the snapshot that `record` names are kept instead of the best ones before."""
    write_json(run_dir / BEST, record)


def drop_old_checkpoints(run_dir: Path, keep: int, images: int) -> None:
    """Remove all but the newest `keep` checkpoints up to `images` that can be read, and the best one.

    Those of more images were passed over when the run went on, and stay.
    """
    best, seen = known_best(run_dir), 0
    for number, path in sorted(_numbered(run_dir).items(), reverse=True):
        if number > images:
            continue
        if seen >= keep and (best is None or path.name != best["checkpoint"]):
            path.unlink(missing_ok=True)
        seen += seen < keep and _objection(path) is None


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
        self._lost: dict[Path, str] = {}

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

    def call(self, function: Callable[[], None], place: Path) -> None:
        """Do something in the directory `place` when everything before is written."""
        self._pending.append(self._pool.submit(self._attempt, place, function))

    def wait(self) -> None:
        """Until everything handed over is written, or has failed."""
        for future in self._pending:
            future.result()
        self._pending.clear()

    def failures(self) -> list[str]:
        """One line for each file that could not be written since the last call."""
        failed, self._failed = self._failed, []
        return failed

    def lost(self, path: Path) -> str | None:
        """Why a file that was handed over is not there; None where it is."""
        if path in self._lost:
            return self._lost[path]
        return None if path.is_file() else f"{path} has been removed"

    def _attempt(self, path: Path, function: Callable[[], None]) -> None:
        try:
            function()
            self._lost.pop(path, None)
        except OSError as error:
            self._lost[path] = f"cannot write {path}: {error.strerror or error}"
            self._failed.append(self._lost[path])

    def _copy(self, name: str, tensor: Tensor) -> Tensor:
        kept = self._host.get(name)
        if kept is None or kept.dtype != tensor.dtype or kept.shape != tensor.shape or kept.stride() != tensor.stride():
            # In the tensor's own memory format: bringing it into another order is left to the thread.
            kept = torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda)
            self._host[name] = kept
        return kept.copy_(tensor, non_blocking=tensor.is_cuda)
