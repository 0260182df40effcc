"""Beside other busy processes, let waiting threads give up their processor.

OpenMP's threads wait for each other by spinning, for some milliseconds. That is fastest while each has a processor to
itself. Where another process wants one, it slows a training down several times, as a waiting thread takes the time that
the awaited one needs. The setting against it, OMP_WAIT_POLICY=passive, holds from the start of the process and costs
about a quarter of the speed on a quiet machine.

GNU's libgomp, which PyTorch brings along on Linux, also decides anew at every wait: it hardly spins while its threads
outnumber the processors. So idle teams of threads are kept as long as the machine is crowded, and threads ask for short
time slices (torch_utils/time_slices.py). Results do not change by a bit: the computing team stays as large as it was.
"""

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from torch_utils.time_slices import SHORT, USUAL, set_slices

SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # whoever sets one of these has decided
INTERVAL = 1.0  # seconds between two looks
# Seconds that threads together wait for a processor, a second. Beside one busy process it is 0.6 or more, on a machine
# with nothing but its system's own processes about 0.1.
CROWDED, QUIET = 0.35, 0.2
CROWDED_LOOKS, QUIET_LOOKS = 2, 5  # so many looks in a row decide

_started = threading.Lock()


def yield_when_crowded() -> bool:
    """From now on watch how long this process's threads wait for processors, and choose how they wait for each other.

    Returns whether anything is watched: not with one thread, where the user has set one of SETTINGS, or where the
    system does not tell (it does on Linux). Calling it again does nothing.
    """
    if torch.get_num_threads() < 2 or any(name in os.environ for name in SETTINGS) or not delays():
        return False
    if _started.acquire(blocking=False):
        threading.Thread(target=_watch, name="crowding", daemon=True).start()
    return True


class Crowding:
    """Whether the machine is crowded, from one look to the next."""

    def __init__(self):
        self.crowded = False
        self._against = 0  # looks in a row that say otherwise

    def update(self, rate: float) -> bool:
        """`rate`: seconds that threads waited for a processor, a second."""
        otherwise = rate < QUIET if self.crowded else rate > CROWDED
        self._against = self._against + 1 if otherwise else 0
        if self._against == (QUIET_LOOKS if self.crowded else CROWDED_LOOKS):
            self.crowded, self._against = not self.crowded, 0
        return self.crowded


class IdleTeams:
    """OpenMP teams that do nothing, so many that libgomp's threads outnumber the processors."""

    def __init__(self):
        self._done: threading.Event | None = None

    def open(self) -> None:
        if self._done is not None:
            return
        self._done = threading.Event()
        for _ in range(teams_needed(torch.get_num_threads(), processors())):
            threading.Thread(target=_hold_team, args=(self._done,), name="idle team", daemon=True).start()

    def close(self) -> None:
        """libgomp ends a team with the thread that it belongs to."""
        if self._done is not None:
            self._done.set()
            self._done = None


class Relief:
    """What is done while the machine is crowded: idle teams, and shorter time slices where Linux takes the wish."""

    def __init__(self):
        self._teams, self._begun = IdleTeams(), False

    def begin(self) -> None:
        """To be called again and again: threads that have come in between get short slices, too."""
        self._begun = True
        self._teams.open()
        set_slices(SHORT)

    def end(self) -> None:
        if self._begun:
            self._begun = False
            self._teams.close()
            set_slices(USUAL)


def delays(tasks: Path = Path("/proc/self/task")) -> dict[str, float]:
    """{thread: seconds that it was ready and waited for a processor}, so far; empty where the system does not tell."""
    found = {}
    for task in tasks.glob("*"):
        try:
            found[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            continue  # the thread has just ended
    return found


def growth(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """By how much the delays have grown, threads that came or went left out."""
    return sum(after[name] - before[name] for name in before.keys() & after.keys())


def teams_needed(threads: int, processors: int) -> int:
    """How many teams, beside one of `threads` threads, it takes to have more threads than processors."""
    if threads < 2:
        return 0
    return max(-(-(processors - threads + 1) // (threads - 1)), 1)


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _watch() -> None:
    crowding, relief = Crowding(), Relief()
    before, then = delays(), time.perf_counter()
    while True:
        time.sleep(INTERVAL)
        after, now = delays(), time.perf_counter()
        crowded = crowding.update(growth(before, after) / (now - then))
        relief.begin() if crowded else relief.end()
        before, then = after, now


def _hold_team(done: threading.Event) -> None:
    """A thread's first parallel operation makes a team for it."""
    torch.zeros(2**18).fill_(1)
    done.wait()
