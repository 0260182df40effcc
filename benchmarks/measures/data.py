"""How fast images are read, and how long training waits for them.

Makes its own PNG files of random textures in a temporary folder. "Reading" is the loader alone. "Waiting" runs the
loader beside real training steps, and beside the same steps without it: what a step waits for its images, and how much
longer it takes while others are read.
"""

import statistics
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, repeat
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from benchmarks.choices import MOST_WORKERS, READ_BATCH
from benchmarks.harness.progress import Progress
from benchmarks.harness.run import Findings, Run
from benchmarks.harness.series import Series
from benchmarks.subjects import TrainingPhases, resolved
from dnnlib.errors import UserError
from dnnlib.parsing import int_ranges, nearest
from training.config import RunConfig
from training.data.dataset import ImageDataset, SampleOrder, batches
from training.presets.resolve import DataFacts, Options, resolve

READ_SIDE = 256
SMALL_IMAGES = 2000  # of the data sets below 256x256
NOISE = 0.005  # shares below this are not told from zero: taking a batch that is there already costs as much
STEP, WAITED, SHARE = "a step", "waited for images", "share waited"

Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Setting:
    """A configuration to wait in: images a step (its own, or what a CPU can bear) and steps a round."""

    cfg: str
    resolution: int
    batch: int
    steps: int


SETTINGS = (Setting("demo", 32, 32, 16), Setting("paper256", 256, 4, 2))


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


class DataSets:
    """Data sets of random textures in a temporary folder, made when they are asked for."""

    def __init__(self, folder: Path, images: int, progress: Progress):
        self.folder, self.images, self.progress = folder, images, progress

    def pictures(self, side: int) -> Path:
        """As a folder."""
        folder = self.folder / f"textures{side}"
        if not folder.exists():
            with self.progress.one_more(f"making pictures of {side}x{side}"):
                write_folder(folder, self.images if side == READ_SIDE else SMALL_IMAGES, side)
        return folder

    def archive(self, side: int) -> Path:
        """As a zip."""
        folder = self.pictures(side)
        target = folder.with_suffix(".zip")
        return target if target.exists() else write_zip(folder)


# --- reading ----------------------------------------------------------------------------------------------------


class TimedReading:
    """Reading `images` images of a data set; the parts are numbers of workers."""

    def __init__(self, path: Path, workers: Sequence[int], images: int):
        self.path, self.count = path, max(images // READ_BATCH, 1)
        self.parts = {part_name(number): number for number in workers}

    def seconds(self, part: str) -> float:
        """Time of the images alone; starting the workers does not count."""
        workers, dataset = self.parts[part], ImageDataset(self.path)
        source = batches(dataset, SampleOrder(len(dataset), 0), 0, READ_BATCH, workers=workers)
        ahead = 2 * (workers + 1) + 2  # made while others were waited for
        for _ in islice(source, ahead):
            pass
        start = time.perf_counter()
        for _ in islice(source, self.count):
            pass
        spent = time.perf_counter() - start
        source.close()
        return spent


def part_name(workers: int) -> str:
    """0 workers: a thread of the training process."""
    return f"{workers} worker{'s' * (workers > 1)}" if workers else "a thread"


def reading(run: Run, sets: DataSets, workers: Sequence[int], images: int) -> dict[str, dict[str, Series]]:
    """Images a second from a zip and a folder, by number of workers."""
    places = {"zip": sets.archive(READ_SIDE), "folder": sets.pictures(READ_SIDE)}
    subjects = {kind: TimedReading(path, workers, images) for kind, path in places.items()}
    samples = run.take_turns(subjects, warmup=1, what="reading")
    return {
        kind: {
            part: Series.of("images/s", [subjects[kind].count * READ_BATCH / each for each in spent])
            for part, spent in parts.items()
        }
        for kind, parts in samples.items()
    }


# --- waiting ----------------------------------------------------------------------------------------------------


def configured(setting: Setting, path: Path, method: str, workers: int | None, device: str = "cpu") -> RunConfig:
    """The run that train.py would make of this setting."""
    facts = DataFacts(name="textures", resolution=setting.resolution, num_channels=3, size=len(ImageDataset(path)))
    options = Options(
        data=str(path), device=device, cfg=setting.cfg, batch=setting.batch, method=method, workers=workers
    )
    return resolve(options, facts)


class Trainer:
    """Real steps on given images, each phase as often as it runs in training."""

    def __init__(self, config: RunConfig):
        self.phases = TrainingPhases(config)
        self.steps = 0

    def step(self, images: Tensor, labels: Tensor) -> None:
        device = self.phases.device
        self.phases.real_images, self.phases.labels = images.to(device).float() / 127.5 - 1, labels.to(device)
        for name, phase in self.phases.phases.items():
            if self.steps % phase.interval == 0:
                self.phases.seconds(name)
        self.steps += 1


class TimedSteps:
    """Steps on images from `source`; `waited`: of every round, the mean seconds of a step's wait for its images."""

    parts = {STEP: None}

    def __init__(self, trainer: Trainer, source: Batches, steps: int):
        self.trainer, self.source, self.steps = trainer, source, steps
        self.waited: list[float] = []

    def seconds(self, part: str) -> float:
        """Of a step, the mean of a round; each round goes through the same phases."""
        self.trainer.steps = 0
        waited, trained = time_steps(self.trainer, self.source, self.steps)
        self.waited.append(statistics.mean(waited))
        return self.waited[-1] + statistics.mean(trained)


def time_steps(trainer: Trainer, source: Batches, steps: int) -> tuple[list[float], list[float]]:
    """(seconds waited for images, seconds trained) of each step."""
    waited, trained = [], []
    for _ in range(steps):
        start = time.perf_counter()
        images, labels = next(source)
        there = time.perf_counter()
        trainer.step(images, labels)
        waited.append(there - start)
        trained.append(time.perf_counter() - there)
    return waited, trained


def waiting(run: Run, config: RunConfig, steps: int, what: str) -> dict[str, dict[str, Series]]:
    """{"NAME": series, "NAME without loader": series}: seconds of a step, ms and share of it waited for images.

    Rounds with the loader and with one batch over and over take turns.
    """
    dataset = ImageDataset(config.data.path, cache=True)
    source = batches(dataset, SampleOrder(len(dataset), 0), 0, config.schedule.batch_size, workers=config.data.workers)
    with run.progress.one_more(f"making {what}"):
        trainer, constant = Trainer(config), repeat(next(source))
    subjects = {what: TimedSteps(trainer, source, steps), without(what): TimedSteps(trainer, constant, steps)}
    samples = run.take_turns(subjects, warmup=1)
    source.close()
    return {name: _waits(subjects[name].waited[-run.rounds :], parts[STEP]) for name, parts in samples.items()}


def without(what: str) -> str:
    return f"{what} without loader"


def _waits(waited: list[float], spent: list[float]) -> dict[str, Series]:
    shares = [wait / step for wait, step in zip(waited, spent, strict=True)]
    return {
        STEP: Series.of("s", spent),
        WAITED: Series.of("ms", [wait * 1e3 for wait in waited], judged=False),
        SHARE: Series.of("of a step", shares, judged=False),
    }


# --- report -----------------------------------------------------------------------------------------------------


def conclusions(series: dict[str, dict[str, Series]], names: Sequence[str]) -> list[str]:
    """Whether training waits, a line a setting."""
    largest = {name: series[name][SHARE].range[1] for name in names}
    return [
        f"{name}: a step {'does not wait' if share < NOISE else 'WAITS'} for images (at most {share * 100:.2g}% of it)"
        for name, share in largest.items()
    ]


def chosen_settings(names: str, steps: int | None) -> list[Setting]:
    """'demo,paper256' as settings, 'none' as []. Raises UserError for others."""
    known = {setting.cfg: setting for setting in SETTINGS}
    wanted = [name.strip() for name in names.split(",") if names != "none"]
    for name in wanted:
        if name not in known:
            raise UserError(f"--cfg '{name}' is no setting to wait in{nearest(name, known)}")
    return [replace(known[name], steps=steps or known[name].steps) for name in dict.fromkeys(wanted)]


def chosen_workers(text: str) -> list[int]:
    """'0,1,2' as numbers, each once. Raises UserError for what is none, and for too many."""
    workers = list(dict.fromkeys(int_ranges(text)))
    if max(workers) > MOST_WORKERS:
        raise UserError(f"--workers '{text}': at most {MOST_WORKERS}")
    return workers


def answer(
    run: Run, images: int, workers: str, cfg: str, steps: int | None, method: str, train_workers: int | None
) -> Findings:
    """What the command of this name does, and finds."""
    settings, numbers = chosen_settings(cfg, steps), chosen_workers(workers)
    for setting in settings:
        resolved(method, setting.cfg, setting.resolution, setting.batch, run.device.type)
    with tempfile.TemporaryDirectory() as folder:
        sets = DataSets(Path(folder), images, run.progress)
        run.begin()
        return measure(run, sets, settings, numbers, method, train_workers)


def measure(
    run: Run, sets: DataSets, settings: list[Setting], workers: list[int], method: str, train_workers: int | None
) -> Findings:
    """Reading, then waiting in each setting."""
    series, names = reading(run, sets, workers, sets.images), [setting.cfg for setting in settings]
    for setting in settings:
        path = sets.archive(setting.resolution)
        config = configured(setting, path, method, train_workers, run.device.type)
        series |= waiting(run, config, setting.steps, setting.cfg)
    pairs = [("zip", "folder"), *((name, without(name)) for name in names)]
    return Findings(series, pairs, lines=conclusions(series, names))
