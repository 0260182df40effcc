"""How `benchmarks.crash` does it."""

import math
import multiprocessing
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch._dynamo  # otherwise every child would import it anew, for its optimizers

from benchmarks.harness.run import Findings, Run
from benchmarks.harness.series import Series
from dnnlib.errors import UserError
from dnnlib.words import counted
from torch_utils.parent import end_with_parent
from training import loop
from training.config import RunConfig
from training.data.writer import open_writer
from training.runs.checkpoint import latest_checkpoint, read_about, read_tensors
from training.scenes.procedural import KINDS

BATCH = 8
POLL_SECONDS = 0.0002  # a write takes a few thousandths; more looks would take the processor away from it
WRITE_SECONDS = 0.004  # from the first sight of one, a kill comes within that: early in some, late in others
UNFINISHED = ".checkpoint-*"
FORK = multiprocessing.get_context("fork")  # a child starts at once, with everything imported


@dataclass(frozen=True)
class Kill:
    """One crash: images trained when it came, images in the last complete checkpoint, whether it cut a write off."""

    trained: int
    kept: int
    writing: bool

    @property
    def lost_steps(self) -> int:
        return (self.trained - self.kept) // BATCH


def configuration(data: Path, steps: int, checkpoint_steps: int) -> RunConfig:
    """A steerable GAN of a few thousand weights with everything that has a state."""
    size = {"img_resolution": 32, "channel_base": 256, "channel_max": 8}
    kimg = BATCH / 1000
    return RunConfig(
        name="crash",
        method="spatialgan",
        data={"path": str(data), "workers": 0},
        generator={
            "z_dim": 8, "w_dim": 8, "img_resolution": 32, "mapping": {"num_layers": 2}, "encoding": {},
            "synthesis": {"channel_base": 256, "channel_max": 8},
        },
        discriminator=size,
        augment={"mode": "ada", "p": 0.2, "kimg": 1},
        schedule={
            "batch_size": BATCH, "total_kimg": steps * kimg, "kimg_per_tick": checkpoint_steps * kimg,
            "snapshot_ticks": 1, "metrics": (),
        },
    )


def make_pictures(path: Path, count: int = 64) -> None:
    """A small data set of toy critters."""
    rng = np.random.default_rng(0)
    with open_writer(path) as writer:
        for _ in range(count):
            writer.add(KINDS["critters"](rng, 32)[0])


def train(config: RunConfig, run_dir: Path, images: Any = None) -> None:
    """A whole run, or the rest of one, in this process; `images`, a shared number, follows its progress."""
    end_with_parent()
    torch.set_num_threads(1)
    sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    step = loop.Run.step

    def counted(run: loop.Run, *arguments: Any) -> None:
        step(run, *arguments)
        if images is not None:
            images.value = run.state.images

    # Without pictures, so that most of the time goes into steps and checkpoints.
    with patch.object(loop.Run, "save_pictures", _nothing), patch.object(loop.Run, "step", counted):
        loop.train(config, run_dir)


def _nothing(run: loop.Run, reals: bool = False) -> None:
    """In the place of Run.save_pictures."""


def crash(config: RunConfig, run_dir: Path, rng: random.Random, longest: float, wait_for_write: bool) -> Kill | None:
    """Go on with the run, kill it after at most `longest` seconds; None when it failed by itself before that.

    wait_for_write: kill when a checkpoint is half written, rather than at a random moment.
    """
    images, leftovers = FORK.Value("q", 0), half_written(run_dir)
    process = FORK.Process(target=train, args=(config, run_dir, images))
    process.start()
    assert process.pid is not None, "it has been started"
    deadline = time.monotonic() + longest * (1 if wait_for_write else rng.random())
    seen, wanted = set[str](), rng.randint(1, 3)  # not always the first write, or the run would never get on
    while process.is_alive() and time.monotonic() < deadline:
        if wait_for_write and images.value > 0:
            present = half_written(run_dir, leftovers)
            seen |= present
            if present and len(seen) >= wanted:
                time.sleep(rng.random() * WRITE_SECONDS)
                if is_halted_in_write(process.pid, run_dir, leftovers):
                    break
        time.sleep(POLL_SECONDS)
    if not process.is_alive():
        return None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    checkpoint = latest_checkpoint(run_dir)
    kept = 0 if checkpoint is None else read_about(checkpoint)["images"]
    return Kill(max(images.value, kept), kept, writing=bool(half_written(run_dir, leftovers)))


def is_halted_in_write(pid: int, run_dir: Path, leftovers: Collection[str]) -> bool:
    """Whether the process, halted where it is, is writing a checkpoint; where it is not, it goes on."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    if half_written(run_dir, leftovers):
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def half_written(run_dir: Path, leftovers: Collection[str] = ()) -> set[str]:
    """Names of checkpoints under their temporary names, but for `leftovers`, which an earlier crash cut off.

    Of a process that is dead: what it was writing when it died.
    """
    return {path.name for path in run_dir.glob(UNFINISHED)} - set(leftovers)


def different_tensors(one: Path, other: Path) -> list[str]:
    """Names of the tensors in which two runs' last checkpoints differ."""
    a, b = (read_tensors(_last_checkpoint(run)) for run in (one, other))
    return sorted(name for name in a.keys() | b.keys() if name not in a or name not in b or not a[name].equal(b[name]))


def _last_checkpoint(run_dir: Path) -> Path:
    found = latest_checkpoint(run_dir)
    if found is None:
        raise UserError(f"the {run_dir.name} run ended without a checkpoint that can be read")
    return found


@dataclass(frozen=True)
class Plan:
    """How runs are crashed: seconds until a kill, at most; steps between checkpoints; every which kill hits a write."""

    longest: float
    steps_between: int
    wait_every: int
    seed: int


def measure(run: Run, plan: Plan, folder: Path) -> Findings:
    """Crash a run as often as there are rounds, let it end, and compare it with one that nothing happened to."""
    data, crashed, undisturbed = (folder / name for name in ("pictures.zip", "crashed", "undisturbed"))
    make_pictures(data)
    crashed.mkdir()
    undisturbed.mkdir()
    run.progress.expect(run.rounds + 2)
    crashes = _crashes(run, plan, configuration(data, 10**6, plan.steps_between), crashed)
    last = latest_checkpoint(crashed)
    images = 0 if last is None else read_about(last)["images"]
    config = configuration(data, images // BATCH + plan.steps_between, plan.steps_between)
    for run_dir in (crashed, undisturbed):
        with run.progress.doing(f"the {run_dir.name} run to its end"):
            process = FORK.Process(target=train, args=(config, run_dir))
            process.start()
            process.join()
    files_left = sorted(path.name for path in crashed.glob(".*"))
    return findings(crashes, plan, different_tensors(crashed, undisturbed), files_left)


def _crashes(run: Run, plan: Plan, config: RunConfig, run_dir: Path) -> list[Kill | None]:
    rng, crashes = random.Random(plan.seed), []
    for number in range(run.rounds):
        with run.progress.doing("training until killed"):
            wait_for_write = number % plan.wait_every == plan.wait_every - 1
            crashes.append(crash(config, run_dir, rng, plan.longest, wait_for_write))
    return crashes


def findings(crashes: list[Kill | None], plan: Plan, different: list[str], files_left: list[str]) -> Findings:
    """The report of a series of crashes."""
    survived = [kill for kill in crashes if kill is not None]
    lost = [kill.lost_steps for kill in survived]
    facts = {
        "kills": len(crashes),
        "recovered": len(survived),
        "while_writing": sum(kill.writing for kill in survived),
        "steps_between_checkpoints": plan.steps_between,
        "median_steps_lost": statistics.median(lost) if lost else None,
        "most_steps_lost": max(lost, default=None),
        "images_trained": survived[-1].kept if survived else 0,
        "tensors_that_differ": different,
        "files_left": files_left,
    }
    series = {"crashes": {"lost": Series.of("steps", lost, judged=False)}} if lost else {}
    return Findings(series, facts=facts, lines=lines(facts), failure=failure(facts))


def failure(facts: dict[str, Any]) -> str | None:
    """What should not have happened, in a line; None: nothing."""
    wrong = []
    if facts["recovered"] < facts["kills"]:
        wrong.append(f"ended unasked: {counted(facts['kills'] - facts['recovered'], 'run')}")
    if facts["recovered"] and facts["most_steps_lost"] > 2 * facts["steps_between_checkpoints"]:
        wrong.append(f"lost: {counted(facts['most_steps_lost'], 'step')}")
    if facts["tensors_that_differ"]:
        wrong.append(f"tensors differ from the undisturbed run's: {len(facts['tensors_that_differ'])}")
    if facts["files_left"]:
        wrong.append(f"unfinished files that no restart removed: {len(facts['files_left'])}")
    return "; ".join(wrong) or None


def lines(facts: dict[str, Any]) -> list[str]:
    same = "all tensors are those of the undisturbed run"
    others = facts["tensors_that_differ"]
    differ = f"differ: {counted(len(others), 'tensor')}, such as {others[:1]}"
    return [
        f"{facts['recovered']} of {facts['kills']} kills were recovered from "
        f"({facts['while_writing']} while one was being written); checkpoints every "
        f"{counted(facts['steps_between_checkpoints'], 'step')}, at most {facts['most_steps_lost']} lost",
        f"after {counted(facts['images_trained'], 'image')}: {differ if others else same}; "
        f"{counted(len(facts['files_left']), 'unfinished file')} left",
    ]


def answer(run: Run, steps_between: int, longest: float, wait_every: int, seed: int) -> Findings:
    """What the command of this name does, and finds."""
    if math.isnan(longest):
        raise UserError("--longest nan is no number of seconds")
    run.begin()
    with tempfile.TemporaryDirectory() as folder:
        return measure(run, Plan(longest, steps_between, wait_every, seed), Path(folder))
