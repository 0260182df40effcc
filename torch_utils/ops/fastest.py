"""Which of two ways to compute is the faster one here: measured at first use, and kept beside the native library.

    native/<build>/fastest.json    {"AVX2": {"winograd": {"ms": 1.3, "usual_ms": 3.6}, ...}, ...}

What has been measured stays, so that runs which are resumed go on in the way they began: two ways round differently.
Every build, processor and set of instructions (ATEN_CPU_CAPABILITY, ONEDNN_MAX_CPU_ISA) has figures of its own, and of
several processes one measures while the others wait. Delete the file to measure again.
"""

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from dnnlib.errors import UserError
from dnnlib.files import write_json
from dnnlib.json_files import read_json
from torch_utils.native import loader
from torch_utils.native.cache import Slot, cache_dir
from torch_utils.native.errors import ToolError

FILE = "fastest.json"
LIMIT = 1 << 16  # bytes of the file
MARGIN = 0.9  # a way wins with less than this part of the usual way's time: what a measurement cannot tell is no gain
ROUNDS = 5
WAIT = 60.0  # seconds for another process's measurement

Way = Callable[[], object]
Figures = dict[str, float]  # ms: of the way in question, usual_ms: of the usual one

_decided: dict[tuple[str, str], bool] = {}


def wins(name: str, ways: Callable[[], tuple[Way, Way]]) -> bool:
    """Whether the first of two ways to do the same is faster than the second, the usual one.

    `name` is that of the comparison in the file; `ways` makes both, with what they need, where they are to be measured.
    Where nothing can be kept there is no measurement, which could end differently the next time: the first way wins.
    """
    key = name, instructions()
    if key not in _decided:
        figures = _kept_or_measured(name, ways)
        _decided[key] = figures is None or figures["ms"] < MARGIN * figures["usual_ms"]
    return _decided[key]


def instructions() -> str:
    """What PyTorch and oneDNN may use of the processor, such as "AVX2 ONEDNN_MAX_CPU_ISA=AVX2"."""
    limits = [f"{name}={os.environ[name]}" for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA") if name in os.environ]
    return " ".join([torch.backends.cpu.get_cpu_capability(), *limits])


def _kept_or_measured(name: str, ways: Callable[[], tuple[Way, Way]]) -> Figures | None:
    """None where there is no place to keep them."""
    try:
        slot = Slot(cache_dir() / "native" / loader.folder("cpu").name, "cpu")
        found = _read(slot.folder / FILE, name)
        if found is None:
            slot.make()
            with slot.lock(WAIT):
                found = _read(slot.folder / FILE, name)  # another process was faster
                if found is None:
                    found = _measure(ways)
                    _write(slot.folder / FILE, name, found)
    except (ToolError, OSError):
        return None
    return found


def _read(path: Path, name: str) -> Figures | None:
    """What is kept of a comparison; None where there is nothing, or nothing that makes sense."""
    with suppress(UserError, LookupError, TypeError):
        kept = read_json(path, LIMIT)[instructions()][name]
        figures = {key: kept[key] for key in ("ms", "usual_ms")}
        if all(isinstance(value, float) and 0 < value < math.inf for value in figures.values()):
            return figures
    return None


def _write(path: Path, name: str, figures: Figures) -> None:
    """Add to what is kept; what is damaged is replaced."""
    kept: Any = None
    with suppress(UserError):
        kept = read_json(path, LIMIT)
    kept = kept if isinstance(kept, dict) else {}
    here = kept.get(instructions())
    kept[instructions()] = (here if isinstance(here, dict) else {}) | {name: figures}
    write_json(path, kept)


def _measure(ways: Callable[[], tuple[Way, Way]]) -> Figures:
    """In a thread of its own, which has gradients enabled, and none of the caller's modes."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_alternate, ways).result()


def _alternate(ways: Callable[[], tuple[Way, Way]]) -> Figures:
    """The shortest time of each, with one thread, while it has the processor: other work then tells least."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pair = ways()
        taken = [[_milliseconds(way) for way in pair] for _ in range(ROUNDS + 1)]
    finally:
        torch.set_num_threads(before)
    first, second = (min(times) for times in zip(*taken[1:], strict=True))
    return {"ms": first, "usual_ms": second}


def _milliseconds(way: Way) -> float:
    start = time.thread_time()
    way()
    return (time.thread_time() - start) * 1e3
