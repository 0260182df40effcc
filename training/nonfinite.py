"""Steps whose gradient is NaN or Inf: skipped, counted, and at last the end of the run."""

from collections import deque
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.words import counted
from torch_utils.tensor_files import write_tensors
from training.inputs import Batch
from training.layouts.layout import Layout

_IN_FLIGHT = 8  # steps that a GPU may be behind when their verdict is read


def all_finite(tensors: list[Tensor]) -> Tensor:
    """Whether there is no NaN and no Inf in any of the tensors: bool [], without waiting for the device."""
    return torch.stack(torch._foreach_norm(tensors, float("inf"))).isfinite().all()


@dataclass
class _Verdict:
    finite: Tensor
    event: torch.cuda.Event | None
    phase: str
    batch: Batch
    images: int

    def is_known(self) -> bool:
        return self.event is None or self.event.query()


class NonFiniteGuard:
    """Counts the skipped steps of a tick, writes down the inputs of the first, and refuses to go on after `limit`.

    Verdicts are read when the device has them, a few steps late, so that no step waits.
    """

    def __init__(self, run_dir: Path, limit: int, is_first: bool = True):
        self._run_dir, self._limit, self._is_first = run_dir, limit, is_first
        self._queue: deque[_Verdict] = deque()
        self.skipped = 0
        self.saved: Path | None = None

    def add(self, finite: Tensor, phase: str, batch: Batch, images: int) -> None:
        """Note a step's verdict `finite` (bool []), after `images` images. Raises UserError at the limit."""
        event = None
        if finite.is_cuda:
            finite = finite.to("cpu", non_blocking=True)
            event = torch.cuda.Event()
            event.record()
        self._queue.append(_Verdict(finite, event, phase, batch, images))
        while self._queue and (self._queue[0].is_known() or len(self._queue) > _IN_FLIGHT):
            self._settle(self._queue.popleft())

    def start_tick(self) -> int:
        """Begin a new count; returns the old one."""
        skipped, self.skipped = self.skipped, 0
        return skipped

    def _settle(self, verdict: _Verdict) -> None:
        if verdict.event is not None:
            verdict.event.synchronize()
        if verdict.finite:
            return
        self.skipped += 1
        if self.skipped == 1 and self._is_first:
            self.saved = self._save_inputs(verdict)
        if self.skipped >= self._limit:
            steps = counted(self.skipped, "step")
            raise UserError(
                f"{verdict.phase}: gradients were NaN or Inf in {steps} since the last tick, at "
                f"{verdict.images / 1000:g} kimg; the inputs of the first are in {self.saved or self._run_dir}. "
                "Weights are as before those steps; go on with a lower learning rate, another --gamma, or --fp32=1"
            )

    def _save_inputs(self, verdict: _Verdict) -> Path | None:
        path = self._run_dir / f"nonfinite-{verdict.phase}-{verdict.images:010d}.safetensors"
        tensors = {name: value.detach().cpu().contiguous() for name, value in inputs_of(verdict.batch).items()}
        try:
            write_tensors(path, tensors, {"phase": verdict.phase, "images": str(verdict.images)})
        except OSError:  # a full disk does not end the training
            return None
        return path


def inputs_of(batch: Batch) -> dict[str, Tensor]:
    """The tensors of one pass under flat names."""
    flat = {"real_images": batch.real_images, "real_c": batch.real_c}
    if batch.inputs is None:
        return flat
    flat |= {"z": batch.inputs.z, "c": batch.inputs.c}
    if isinstance(batch.inputs.layout, Layout):
        levels = zip(batch.inputs.layout.centers, batch.inputs.layout.spreads, strict=True)
        for level, (centers, spreads) in enumerate(levels):
            flat |= {f"centers.{level}": centers, f"spreads.{level}": spreads}
    return flat
