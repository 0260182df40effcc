"""Snapshots and checkpoints of a run under way: what is handed to the writer, what is kept, what must be there."""

from pathlib import Path

from dnnlib.errors import UserError
from training.config import RunConfig
from training.runs.checkpoint import (
    BackgroundWriter,
    checkpoint_path,
    drop_old_checkpoints,
    known_best,
    latest_checkpoint,
)
from training.runs.snapshot import drop_old_snapshots, network_tensors, snapshot_metadata, snapshot_name
from training.state import TrainingState


class RunFiles:
    """Has the files of a run directory written while training goes on."""

    def __init__(self, config: RunConfig, run_dir: Path, writer: BackgroundWriter):
        self._config, self._run_dir, self._writer = config, run_dir, writer
        self._last: list[Path] = []  # of the last save

    def save(self, state: TrainingState, snapshot: bool = True, checkpoint: bool = True) -> None:
        """Have the files written, the snapshot first: a run whose checkpoint says it is finished has its snapshot.

        All ranks call this together; the first one writes.
        """
        kimg, tensors = state.images / 1000, state.tensors()
        if not state.world.is_first:
            return
        copies = self._writer.snapshot(tensors if checkpoint else network_tensors(tensors))
        self._last = []
        if snapshot:
            self._last.append(self._run_dir / snapshot_name(kimg))
            self._writer.submit(self._last[-1], network_tensors(copies), snapshot_metadata(self._config, kimg))
        if checkpoint:
            self._last.append(checkpoint_path(self._run_dir, state.images))
            self._writer.submit(self._last[-1], copies, state.metadata(self._config))
        images = state.images
        self._writer.call(lambda: self._drop_old(images), self._run_dir)

    def reserve_memory(self, state: TrainingState) -> None:
        """Make the copies' memory now, when everything has been allocated once, and not at the first checkpoint."""
        tensors = state.tensors()
        if state.world.is_first:
            self._writer.snapshot(tensors)

    def failures(self) -> list[str]:
        """One line for each file that could not be written since the last call."""
        return self._writer.failures()

    def check_last(self) -> None:
        """Raises UserError when a file of the last save is not there."""
        self._writer.wait()
        reasons = {path.name: reason for path in self._last if (reason := self._writer.lost(path))}
        if reasons:
            last = latest_checkpoint(self._run_dir)
            raise UserError(
                f"the end of this run is not saved: {' and '.join(reasons)} missing ({next(iter(reasons.values()))}); "
                f"make room or give access, then the same command goes on from {last.name if last else 'the beginning'}"
            )

    def _drop_old(self, images: int) -> None:
        """Checkpoints and snapshots that are not kept."""
        schedule, best = self._config.schedule, known_best(self._run_dir)
        kept = None if best is None else best["snapshot"]
        drop_old_checkpoints(self._run_dir, schedule.keep_checkpoints, images)
        drop_old_snapshots(self._run_dir, schedule.keep_snapshots, images / 1000, kept)
