"""One process at a time trains in a run directory, and clears what killed ones have left there."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dnnlib.files import remove_temporaries
from dnnlib.locks import DirectoryLock
from dnnlib.words import counted
from torch_utils.distributed import World

# What training writes under temporary names first.
WRITTEN = ("checkpoint-", "network-snapshot-", "nonfinite-", "config", "data", "best", "stats", "README",
           "reals", "fakes", "heatmaps", "steer")  # fmt: skip
LONG_AGO = 3600.0  # seconds; without a lock, younger files may be another process's


@contextmanager
def held(run_dir: Path, world: World) -> Iterator[list[str]]:
    """The first rank holds the lock of `run_dir` in this block; yields remarks for the log.

    Raises UserError, which names the holder, when another process trains there.
    """
    with ExitStack() as stack:
        yield world.first(lambda: _take(run_dir, stack))


def _take(run_dir: Path, stack: ExitStack) -> list[str]:
    lock = stack.enter_context(DirectoryLock(run_dir, "being trained"))
    removed = remove_temporaries(run_dir, WRITTEN, 0 if lock.is_held else LONG_AGO)
    remarks = [f"removed {counted(len(removed), 'unfinished file')} of a run that was killed"] if removed else []
    if not lock.is_held:
        remarks.append(f"no locks on this file system: nothing keeps a second process from training in {run_dir}")
    return remarks
