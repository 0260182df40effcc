"""Work in a new process, so that neither this one's memory nor its threads have a part in it."""

import multiprocessing
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import torch

from torch_utils.parent import end_with_parent

T = TypeVar("T")


def apart(work: Callable[..., T], *arguments: Any) -> T:
    """`work(*arguments)` of a new process with as many threads as this one, which ends when this one is killed."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=end_with_parent) as pool:
        return pool.submit(_with_threads, torch.get_num_threads(), work, *arguments).result()


def peak_mib(work: Callable[..., torch.device], *arguments: Any) -> float:
    """Peak memory in MiB of `work(*arguments)`: of the whole process on a CPU, of its tensors on a GPU.

    Measured in a new process, so that neither this one nor other work adds to it; `work` returns its device.
    """
    return apart(_peak, work, *arguments)


def _with_threads(threads: int, work: Callable[..., T], *arguments: Any) -> T:
    torch.set_num_threads(threads)
    return work(*arguments)


def _peak(work: Callable[..., torch.device], *arguments: Any) -> float:
    device = work(*arguments)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return _peak_resident_kib() / 1024


def _peak_resident_kib() -> float:
    """From /proc where there is one: getrusage also counts what the parent process held before this one started."""
    status = Path("/proc/self/status")
    if status.exists():
        return float(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform == "darwin" else peak
