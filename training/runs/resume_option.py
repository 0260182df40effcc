"""What --resume names: a run to go on with, a checkpoint to branch off from, or weights to start from."""

from enum import Enum
from pathlib import Path

from dnnlib.errors import UserError
from torch_utils.tensor_files import open_tensors
from training.runs import directory as run_dir
from training.runs.checkpoint import ENTRY
from training.runs.sources import address_in, needs_reader

LATEST = "latest"


class Kind(Enum):
    """How much of a run is taken over."""

    RUN = "run directory"  # everything, and it goes on in its own directory
    CHECKPOINT = "checkpoint"  # everything, in a new directory
    WEIGHTS = "snapshot"  # G, G_ema and D where names and shapes agree (transfer learning)


def source_kind(path: str | Path) -> Kind:
    """Raises UserError when there is nothing of that kind at `path`."""
    if needs_reader(str(path)):
        return Kind.WEIGHTS
    path = Path(path)
    if path.is_dir():
        if run_dir.is_run(path):
            return Kind.RUN
        raise UserError(f"--resume={path}: no run in this directory ({run_dir.CONFIG} is missing)")
    if not path.is_file():
        raise UserError(f"--resume={path}: no such file; give {LATEST}, a run directory, a checkpoint or a snapshot")
    try:
        return Kind.CHECKPOINT if ENTRY in open_tensors(path).metadata else Kind.WEIGHTS
    except UserError as error:
        raise UserError(f"--resume={error}") from error


def is_gone(path: str | Path) -> bool:
    """Whether there is nothing at `path` any more; the run that began from it can go on all the same."""
    return address_in(str(path)) is None and not Path(path).exists()


def latest_run(outdir: str | Path) -> Path:
    """The newest run in `outdir`, or `outdir` itself where it is one. Raises UserError when there is none."""
    runs = run_dir.runs(Path(outdir))
    if not runs:
        raise UserError(f"--resume={LATEST}: no run in {outdir} yet; leave it out to begin one")
    return runs[-1]
