"""What a run loses when it is killed: kill -9 at random moments, go on, and compare with a run that was left alone.

    python -m benchmarks.crash --kills 30

A small network trains on random pictures, with a checkpoint every few steps. Every third kill (--wait-every) waits for
a checkpoint that is half written. Every restart has to find a complete checkpoint; at the end nothing unfinished may be
left in the run directory, and the weights, moments and random streams have to be those of the undisturbed run, bit for
bit. Exit status 1 when one of that fails.
"""

import multiprocessing
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import torch._dynamo  # otherwise every child would import it anew, for its optimizers
from tqdm import tqdm

from dnnlib.cli import Command
from dnnlib.files import write_json
from training import loop
from training.config import RunConfig
from training.data.writer import open_writer
from training.runs.checkpoint import latest_checkpoint, read_about, read_tensors
from training.scenes.procedural import KINDS

BATCH = 8
UNFINISHED = ".checkpoint-*"
FORK = multiprocessing.get_context("fork")  # a child starts at once, with everything imported


@dataclass(frozen=True)
class Kill:
    """One crash: images trained when it came, images in the last complete checkpoint, and whether it hit a write."""

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
    torch.set_num_threads(1)
    sys.stderr = sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    step = loop.Run.step

    def counted(run: loop.Run, *arguments) -> None:
        step(run, *arguments)
        images.value = run.state.images

    loop.Run.save_pictures = lambda run, reals=False: None  # so that most of the time goes into steps and checkpoints
    if images is not None:
        loop.Run.step = counted
    loop.train(config, run_dir)


def crash(config: RunConfig, run_dir: Path, rng: random.Random, longest: float, wait_for_write: bool) -> Kill | None:
    """Go on with the run, kill it after at most `longest` seconds; None when it failed by itself before that.

    wait_for_write: kill when a checkpoint is half written, rather than at a random moment.
    """
    images = FORK.Value("q", 0)
    process = FORK.Process(target=train, args=(config, run_dir, images))
    process.start()
    deadline = time.monotonic() + longest * (1 if wait_for_write else rng.random())
    seen, wanted = set(), rng.randint(1, 3)  # not always the first write, or the run would never get on
    while process.is_alive() and time.monotonic() < deadline:
        if wait_for_write and images.value > 0:  # what was left by older kills is gone before the first step
            seen |= set(run_dir.glob(UNFINISHED))
            if len(seen) >= wanted and half_written(run_dir):
                break
        time.sleep(0 if wait_for_write else 0.001)
    if not process.is_alive():
        return None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    writing = images.value > 0 and half_written(run_dir)  # a write that ended in time has left no file
    checkpoint = latest_checkpoint(run_dir)
    kept = 0 if checkpoint is None else read_about(checkpoint)["images"]
    return Kill(max(images.value, kept), kept, writing)


def half_written(run_dir: Path) -> bool:
    """Whether a checkpoint is under its temporary name."""
    return any(run_dir.glob(UNFINISHED))


def different_tensors(one: Path, other: Path) -> list[str]:
    """Names of the tensors in which two runs' last checkpoints differ."""
    a, b = (read_tensors(latest_checkpoint(run)) for run in (one, other))
    return sorted(name for name in a.keys() | b.keys() if name not in a or name not in b or not a[name].equal(b[name]))


@click.command(cls=Command, help=__doc__.replace("\n\n    python", "\n\n\b\n    python"))
@click.option("--kills", type=click.IntRange(min=1), default=30, show_default=True, help="How many crashes.")
@click.option("--steps-between", type=click.IntRange(min=1), default=4, show_default=True,
              help="Steps from one checkpoint to the next.")
@click.option("--longest", type=float, default=8.0, show_default=True, help="Seconds until a kill, at most.")
@click.option("--wait-every", type=click.IntRange(min=1), default=3, show_default=True, metavar="N",
              help="Every N-th kill waits until a checkpoint is half written; 1: all of them.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the moments.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="For the report.")
def main(
    kills: int, steps_between: int, longest: float, wait_every: int, seed: int, json_path: Path | None
) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        data, crashed, undisturbed = (Path(folder, name) for name in ("pictures.zip", "crashed", "undisturbed"))
        make_pictures(data)
        crashed.mkdir()
        undisturbed.mkdir()
        endless = configuration(data, 10**6, steps_between)
        crashes = []
        for number in tqdm(range(kills), unit="kill"):
            crashes.append(crash(endless, crashed, rng, longest, wait_for_write=number % wait_every == wait_every - 1))
        images = read_about(latest_checkpoint(crashed))["images"] if latest_checkpoint(crashed) else 0
        config = configuration(data, images // BATCH + steps_between, steps_between)
        for run_dir in (crashed, undisturbed):
            process = FORK.Process(target=train, args=(config, run_dir))
            process.start()
            process.join()
        different = different_tensors(crashed, undisturbed)
        left = sorted(path.name for path in crashed.glob(".*"))
    report = summary(crashes, steps_between, different) | {"files_left": left}
    click.echo(table(report))
    if json_path is not None:
        write_json(json_path, report)
    if different or left or report["recovered"] < kills or report["most_steps_lost"] > 2 * steps_between:
        raise SystemExit(1)


def summary(crashes: list[Kill | None], steps_between: int, different: list[str]) -> dict:
    """The report of a series of crashes."""
    survived = [kill for kill in crashes if kill is not None]
    lost = [kill.lost_steps for kill in survived]
    return {
        "kills": len(crashes),
        "recovered": len(survived),
        "while_writing": sum(kill.writing for kill in survived),
        "steps_between_checkpoints": steps_between,
        "median_steps_lost": statistics.median(lost),
        "most_steps_lost": max(lost),
        "images_trained": survived[-1].kept,
        "tensors_that_differ": different,
    }


def table(report: dict) -> str:
    same = "all tensors are those of the undisturbed run"
    differ = f"{len(report['tensors_that_differ'])} tensors differ, such as {report['tensors_that_differ'][:1]}"
    return (
        f"{report['recovered']} of {report['kills']} kills were recovered from "
        f"({report['while_writing']} while one was being written)\n"
        f"steps lost: {report['median_steps_lost']:g} (median), {report['most_steps_lost']} (most), "
        f"with a checkpoint every {report['steps_between_checkpoints']} steps\n"
        f"after {report['images_trained']} images: {differ if report['tensors_that_differ'] else same}; "
        f"{len(report['files_left'])} unfinished files left"
    )


if __name__ == "__main__":
    main()
