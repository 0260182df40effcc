"""How fast images are read, and how long training waits for them.

    python -m benchmarks.data --json data.json

Makes its own PNG files of random textures in a temporary folder. "Reading" is the loader alone. "Waiting" runs the
loader beside real training steps on the CPU, and beside the same steps without it: what a step waits for its images,
and how much longer it takes while others are read.
"""

import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.train_step import Bench, machine
from dnnlib.cli import Command
from dnnlib.files import make_dir, write_json
from training.config import RunConfig
from training.data.dataset import ImageDataset, SampleOrder, batches
from training.presets.resolve import DataFacts, Options, resolve

READ_BATCH = 16
SMALL_IMAGES = 2000  # of the data sets below 256x256
NOISE = 0.005  # shares below this are not told from zero: taking a batch that is there already costs as much

Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Setting:
    """A configuration to wait in: images a step (the configuration's own, or what a CPU can bear) and steps timed."""

    cfg: str
    resolution: int
    batch: int
    steps: int


SETTINGS = (Setting("demo", 32, 32, 32), Setting("paper256", 256, 4, 4))


# --- data -------------------------------------------------------------------------------------------------------


def texture(rng: np.random.Generator, side: int) -> np.ndarray:
    """Noise of every scale, uint8 [side, side, 3]: compresses about as badly as a photograph."""
    image = np.zeros((side, side, 3), np.float32)
    for k in range(2, side.bit_length()):
        cells = rng.standard_normal((2**k, 2**k, 3), dtype=np.float32)
        image += cells.repeat(side >> k, 0).repeat(side >> k, 1) * (side >> k) ** 0.5
    return np.clip(image / image.std() * 50 + 128, 0, 255).astype(np.uint8)


def write_folder(folder: Path, images: int, side: int, seed: int = 0) -> Path:
    """A folder of PNG files."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for number in range(images):
        Image.fromarray(texture(rng, side)).save(folder / f"img{number:08d}.png")
    return folder


def write_zip(folder: Path) -> Path:
    """The files of a folder in an uncompressed zip beside it, as dataset_tool.py writes them."""
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return target


# --- reading ----------------------------------------------------------------------------------------------------


def read_speed(path: Path, workers: int, images: int) -> float:
    """Images a second that `workers` processes (0: a thread of this one) deliver; starting them does not count."""
    dataset = ImageDataset(path)
    source = batches(dataset, SampleOrder(len(dataset), 0), 0, READ_BATCH, workers=workers)
    count = max(images // READ_BATCH, 1)
    ahead = 2 * (workers + 1) + 2  # made while others were waited for
    for _ in islice(source, ahead):
        pass
    start = time.perf_counter()
    for _ in islice(source, count):
        pass
    spent = time.perf_counter() - start
    source.close()
    return count * READ_BATCH / spent


def reading(folder: Path, archive: Path, workers: list[int], images: int) -> dict[str, dict[str, dict[str, float]]]:
    """{"zip" or "folder": {workers: {"images_per_s", "per_worker"}}}."""
    report: dict[str, dict[str, dict[str, float]]] = {}
    for kind, path in (("zip", archive), ("folder", folder)):
        speeds = {str(count): read_speed(path, count, images) for count in workers}
        report[kind] = {
            count: {"images_per_s": speed, "per_worker": speed / max(int(count), 1)} for count, speed in speeds.items()
        }
    return report


# --- waiting ----------------------------------------------------------------------------------------------------


def configured(setting: Setting, path: Path, method: str, workers: int | None) -> RunConfig:
    """The run on the CPU that train.py would make of this setting."""
    facts = DataFacts(name="textures", resolution=setting.resolution, num_channels=3, size=len(ImageDataset(path)))
    given = {"cfg": setting.cfg, "batch": setting.batch, "method": method, "workers": workers}
    return resolve(Options(data=str(path), device="cpu", **given), facts)


class Trainer:
    """Real steps on given images, each phase as often as it runs in training."""

    def __init__(self, config: RunConfig):
        self.bench = Bench(config)
        self.steps = 0

    def step(self, images: Tensor, labels: Tensor) -> None:
        self.bench.real_images, self.bench.labels = images.float() / 127.5 - 1, labels
        for name, phase in self.bench.phases.items():
            if self.steps % phase.interval == 0:
                self.bench.seconds(name)
        self.steps += 1


def time_steps(train: Callable[[Tensor, Tensor], None], source: Batches, steps: int) -> tuple[list[float], list[float]]:
    """(seconds waited for images, seconds trained) of each step."""
    waited, trained = [], []
    for _ in range(steps):
        start = time.perf_counter()
        images, labels = next(source)
        there = time.perf_counter()
        train(images, labels)
        waited.append(there - start)
        trained.append(time.perf_counter() - there)
    return waited, trained


def waiting(config: RunConfig, steps: int) -> dict[str, float]:
    """Shares of a step's time: waited for images; the same with one batch over and over; and how much the step slows.

    Steps with and without the loader take turns in blocks of a quarter, so that both see the same machine.
    """
    dataset = ImageDataset(config.data.path, cache=True)
    source = batches(
        dataset, SampleOrder(len(dataset), 0), 0, config.schedule.batch_size, workers=config.data.workers
    )
    trainer, block = Trainer(config), max(steps // 4, 1)
    constant = repeat(next(source))
    time_steps(trainer.step, constant, 1)
    trainer.steps = 0
    loaded: list[list[float]] = [[], []]
    alone: list[list[float]] = [[], []]
    for _ in range(-(-steps // block)):
        for sums, batches_of_block in ((loaded, source), (alone, constant)):
            first = trainer.steps
            times = time_steps(trainer.step, batches_of_block, block)
            trainer.steps = first + (block if sums is alone else 0)  # both go through the same phases
            for total, part in zip(sums, times, strict=True):
                total += part
    source.close()
    return {
        "workers": config.data.workers,
        "batch": config.schedule.batch_size,
        "steps": len(loaded[0]),
        "step_s": statistics.mean(map(sum, zip(*loaded, strict=True))),
        "wait_ms": statistics.mean(loaded[0]) * 1000,
        "wait_ms_median": statistics.median(loaded[0]) * 1000,
        "share": sum(loaded[0]) / (sum(loaded[0]) + sum(loaded[1])),
        "share_without_loader": sum(alone[0]) / (sum(alone[0]) + sum(alone[1])),
        "slower": sum(loaded[1]) / sum(alone[1]) - 1,
    }


# --- report -----------------------------------------------------------------------------------------------------


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [f"reading {report['reading_side']}x{report['reading_side']} PNG     images/s   per worker"]
    for kind, by_workers in report["reading"].items():
        for workers, speed in by_workers.items():
            who = f"{workers} workers" if int(workers) else "a thread"
            lines.append(f"  {kind:8}{who:16}{speed['images_per_s']:10.0f}{speed['per_worker']:13.0f}")
    lines.append("waiting in training        batch  steps  s/step  ms waited   share  no loader  step slower by")
    for name, one in report["waiting"].items():
        who = f"{one['workers']} workers" if one["workers"] else "a thread"
        lines.append(
            f"  {name:12}{who:13}{one['batch']:5}{one['steps']:7}{one['step_s']:8.2f}{one['wait_ms']:11.2f}"
            f"{one['share']:8.2%}{one['share_without_loader']:11.2%}{one['slower']:12.1%}"
        )
    for name, one in report["waiting"].items():
        verdict = "does not wait for images (share" if one["share"] < NOISE else "WAITS for images (share not"
        lines.append(f"{name}: a step {verdict} below {NOISE:.1%})")
    return "\n".join(lines)


@click.command(cls=Command)
@click.option("--images", type=click.IntRange(min=READ_BATCH), default=256, show_default=True,
              help="Images of 256x256 in the data set, and read with each number of workers.")
@click.option("--workers", default="0,1,2", show_default=True, metavar="N,...", help="Numbers of workers to read with.")
@click.option("--cfg", "names", default="demo,paper256", show_default=True, help="Settings to wait in; none: skip.")
@click.option("--steps", type=click.IntRange(min=1), help="Steps in each.  [default: demo 32, paper256 4]")
@click.option("--method", default="spatialgan", show_default=True, help="What is trained.")
@click.option("--train-workers", type=click.IntRange(min=0), metavar="N",
              help="Workers in training.  [default: the configuration's]")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads.  [default: PyTorch's choice]")
@click.option("--json", "json_file", metavar="FILE", help="Write the figures here, too.")
def main(images, workers, names, steps, method, train_workers, threads, json_file):
    """Images read per second, and the share of a training step on the CPU spent waiting for them.

    paper256 takes 4 images a step here instead of 64, which a CPU would be minutes over; both the time of a step and
    that of reading its images grow with their number, so the share is that of 64.
    """
    if json_file is not None:
        make_dir(Path(json_file).parent)
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = [replace(s, steps=steps or s.steps) for s in SETTINGS if s.cfg in names.split(",")]
    with tempfile.TemporaryDirectory() as temporary:
        report = measure(Path(temporary), images, int_list(workers), chosen, method, train_workers)
    report |= {"machine": machine(torch.device("cpu")), "method": method}
    click.echo("  ".join(f"{key} {value}" for key, value in report["machine"].items() if value is not None))
    click.echo(table(report))
    if json_file is not None:
        write_json(json_file, report)


def measure(
    folder: Path, images: int, workers: list[int], settings: list[Setting], method: str, train_workers: int | None
) -> dict[str, Any]:
    """Make the data sets in `folder` and measure everything."""
    large = write_folder(folder / "large", images, 256)
    archives = {256: write_zip(large)}
    report = {"reading_side": 256, "reading": reading(large, archives[256], workers, images), "waiting": {}}
    for setting in settings:
        side = setting.resolution
        if side not in archives:
            archives[side] = write_zip(write_folder(folder / f"small{side}", SMALL_IMAGES, side))
        config = configured(setting, archives[side], method, train_workers)
        report["waiting"][setting.cfg] = waiting(config, setting.steps)
    return report


def int_list(text: str) -> list[int]:
    """'0,1,2' as numbers."""
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
