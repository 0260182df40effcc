"""Timing in turns: what is compared runs one after the other in every round, so that a drift meets all alike."""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

import torch

from benchmarks.harness.progress import Progress

Samples = dict[str, list[float]]  # of each part, one value a round


class Subject(Protocol):
    """Something to be timed."""

    @property
    def parts(self) -> Mapping[str, object]:
        """Its keys are what there is to time."""
        ...

    def seconds(self, part: str) -> float:
        """Time of one go of a part."""


def take_turns(
    subjects: Mapping[str, Subject], rounds: int, warmup: int, progress: Progress, what: str = ""
) -> dict[str, Samples]:
    """Seconds of every part of every subject: part by part, the subjects one after the other, `rounds` times.

    `warmup` rounds before that do not count. what: where this belongs, for the progress shown.
    """
    parts = list(dict.fromkeys(part for subject in subjects.values() for part in subject.parts))
    turns = [(part, name) for part in parts for name, subject in subjects.items() if part in subject.parts]
    taken: dict[str, Samples] = {name: {part: [] for part in subject.parts} for name, subject in subjects.items()}
    progress.expect((warmup + rounds) * len(turns))
    for number in range(warmup + rounds):
        for part, name in turns:
            with progress.doing(" ".join(filter(None, (what, name, part)))):
                spent = subjects[name].seconds(part)
            if number >= warmup:
                taken[name][part].append(spent)
    return taken


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of one call."""
    wait(device)
    start = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - start


def seconds_of_short(work: Callable[[], object], device: torch.device, least: float = 0.02) -> float:
    """Wall time of one call, from as many as fill `least` seconds."""
    count = 1
    while True:
        spent = seconds_of(lambda: _repeated(work, count), device)  # noqa: B023 (called at once)
        if spent >= least:
            return spent / count
        count *= 4


def _repeated(work: Callable[[], object], count: int) -> None:
    """Results are dropped one by one: a thousand of them would not fit a GPU."""
    for _ in range(count):
        work()
