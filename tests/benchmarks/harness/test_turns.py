"""Fair turns, calls that are too short for the clock, and work in a process of its own."""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks.harness import turns
from benchmarks.harness.apart import apart, peak_mib
from benchmarks.harness.progress import Progress
from benchmarks.harness.turns import seconds_of, seconds_of_short, take_turns

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[3]
PATIENCE = 60  # seconds, of which a start takes a few on a crowded machine


class Clock:
    """Notes its turns and says how long each took."""

    def __init__(self, name: str, noted: list[str], parts: str, values: list[float]):
        self.name, self.noted, self.parts, self.values = name, noted, dict.fromkeys(parts), iter(values)

    def seconds(self, part: str) -> float:
        self.noted.append(self.name + part)
        return next(self.values)


def test_subjects_take_turns_and_the_first_rounds_do_not_count():
    noted, progress = [], Progress("test")
    subjects = {
        "A": Clock("A", noted, "xy", [90, 90, 90, 90, 1, 10, 2, 20, 30, 30]),
        "B": Clock("B", noted, "x", [90, 90, 5, 7, 6]),
    }
    samples = take_turns(subjects, rounds=3, warmup=2, progress=progress)
    assert samples == {"A": {"x": [1, 2, 30], "y": [10, 20, 30]}, "B": {"x": [5, 7, 6]}}
    assert noted == ["Ax", "Bx", "Ay"] * 5
    assert (progress.done, progress.total) == (15, 15)


def test_wall_time_of_a_call(monkeypatch: pytest.MonkeyPatch):
    clock = itertools.accumulate(itertools.repeat(0.25))
    monkeypatch.setattr(turns.time, "perf_counter", lambda: next(clock))
    assert seconds_of(lambda: None, CPU) == 0.25


def test_short_calls_are_repeated_until_there_is_something_to_time(monkeypatch: pytest.MonkeyPatch):
    now, calls = [0.0], []
    monkeypatch.setattr(turns.time, "perf_counter", lambda: now[0])

    def work() -> None:
        now[0] += 0.001
        calls.append(1)

    assert seconds_of_short(work, CPU, least=0.01) == pytest.approx(0.001)
    assert len(calls) == 1 + 4 + 16


def _hold(mib: int) -> torch.device:
    held = torch.ones(mib * 2**18)
    return held.device


@pytest.mark.slow
def test_peak_memory_is_that_of_a_process_of_its_own():
    held = torch.ones(2**28)  # 1 GiB here must not be counted there
    small, large = peak_mib(_hold, 1), peak_mib(_hold, 256)
    assert 50 < small < 1024
    assert 200 < large - small < 350
    del held


def note_and_sleep(folder: str) -> None:
    noted = Path(folder) / "noted"
    noted.write_text(str(os.getpid()))
    noted.rename(Path(folder) / "pid")
    time.sleep(10 * PATIENCE)


def test_another_process_ends_with_the_one_that_is_killed(tmp_path: Path):
    script = (
        "from benchmarks.harness.apart import apart\nfrom tests.benchmarks.harness.test_turns import note_and_sleep\n"
        f"if __name__ == '__main__': apart(note_and_sleep, {str(tmp_path)!r})"
    )
    (tmp_path / "main.py").write_text(script)
    command = [sys.executable, str(tmp_path / "main.py")]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT) as process:
        assert comes_true((tmp_path / "pid").exists)
        pid = int((tmp_path / "pid").read_text())
        assert is_running(pid)
        process.kill()
    assert comes_true(lambda: not is_running(pid))


def is_running(pid: int) -> bool:
    """Zombies, which whoever inherits them may leave, are not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def comes_true(what: Callable[[], bool]) -> bool:
    """Whether it is so within PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not what() and time.monotonic() < deadline:
        time.sleep(0.05)
    return what()


def test_another_process_has_as_many_threads():
    assert apart(torch.get_num_threads) == torch.get_num_threads()
