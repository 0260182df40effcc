"""What a run says while it trains: a progress bar, log.txt, stats.jsonl, TensorBoard, and a summary at its end."""

import json
import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from dnnlib.files import write_text
from torch_utils.stats import ScalarSummary
from training.data.image_formats import open_image
from training.pictures.plots import read_lines
from training.runs.trackers import Tracker, open_tracker

logger = logging.getLogger("steergan")

STATS = "stats.jsonl"
PARTS = ("training", "metrics", "snapshots")  # of a run's time
BOARD_SIDE = 1024  # larger pictures are reduced for the trackers; the files stay as they are

# On the bar and in log.txt: what, its statistic, how it is written.
SHOWN = (
    ("sec/kimg", "speed/sec_per_kimg", ".2f"),
    ("p", "augment/p", ".3f"),
    ("DI", "scores/di", ".2f"),
    ("G", "loss/G", ".3f"),
    ("D", "loss/D", ".3f"),
    ("align", "loss/align", ".3f"),
)


class RunLog:
    """A context: opens the files of a run directory, shows the bar, closes both.

    images: where the run begins or goes on; what the files say of later images is of steps that are lost, and goes.
    seconds: what a run that goes on has spent so far, as `seconds` was at its checkpoint.
    trackers: where curves and pictures go besides the files (training/runs/trackers.py).
    A log that cannot be written (a full disk) is said once and never stops the run.
    """

    def __init__(
        self,
        run_dir: Path,
        total_images: int,
        images: int,
        seconds: Mapping[str, float] | None = None,
        trackers: Sequence[str] = ("tensorboard",),
    ):
        self.run_dir, self._tracker_names = run_dir, trackers
        self.seconds = dict.fromkeys(PARTS, 0.0) | dict(seconds or {})  # by part, over all sessions of the run
        self._total, self._images = total_images, images
        self._values: dict[str, tuple[float, float]] = {}  # metric quantity: (kimg, value)
        self._complained = False

    def __enter__(self) -> "RunLog":
        log_file = _QuietFile(self.run_dir / "log.txt", encoding="utf-8", errors="surrogateescape")
        self._log_file = log_file
        self._handlers: tuple[logging.Handler, ...] = (log_file, logging.StreamHandler())
        for handler in self._handlers:
            handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
            logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        self._redirect = logging_redirect_tqdm(loggers=[logger])
        self._redirect.__enter__()
        self._try(lambda: _forget_after(self.run_dir / STATS, self._images))
        self._trackers: list[Tracker] = []
        self._before, threading.excepthook = threading.excepthook, self._of_thread
        for name in self._tracker_names:
            self._try(partial(self._open_tracker, name))
        done, total = self._images / 1000, self._total / 1000
        self._has_bar = _has_terminal()  # a file would get a line of carriage returns; it gets one line a tick
        self._bar = tqdm(total=total, initial=done, unit="kimg", bar_format=_BAR, disable=not self._has_bar)
        return self

    def __exit__(self, *error) -> None:
        self._bar.close()
        for tracker in self._trackers:
            self._try(tracker.close)
        threading.excepthook = self._before
        self._redirect.__exit__(*error)
        for handler in self._handlers:
            logger.removeHandler(handler)
            handler.close()

    def say(self, text: str) -> None:
        """A line on the screen and in log.txt."""
        logger.info(text)

    def progress(self, images: int) -> None:
        """Move the bar."""
        self._bar.n = images / 1000
        self._bar.update(0)  # redraws when it is time to

    def first_step(self, images: int, seconds: float) -> None:
        """Say how long the first step of a session took; those after it take no longer, often less."""
        steps_left = max(self._total - images, 0) / max(images - self._images, 1)
        left = f"; at this pace {_duration(seconds * steps_left)} for the rest, most likely less" if steps_left else ""
        self.say(f"first step: {_duration(seconds)}{left}")

    def tick(self, images: int, seconds_per_kimg: float, report: Mapping[str, ScalarSummary]) -> None:
        """Write one line of statistics everywhere; the time counts as training.

        `report` has loss/G, loss/D, scores/real, scores/fake, augment/p where there is augmentation, and whatever else.
        """
        self.seconds["training"] += seconds_per_kimg * (images - self._images) / 1000
        self._images = images
        times = {f"seconds/{part}": spent for part, spent in self.seconds.items()}
        numbers = {"speed/sec_per_kimg": seconds_per_kimg, **_flatten(report), **times}
        self._try(lambda: self._append(images, numbers))
        self._scalars(images, numbers)
        shown = {label: f"{numbers[name]:{form}}" for label, name, form in SHOWN if name in numbers}
        self._bar.set_postfix(shown)
        line = f"kimg {images / 1000:8.1f}  " + "  ".join(f"{label} {text}" for label, text in shown.items())
        self._to_file(line) if self._has_bar else self.say(line)

    def metric(self, images: int, name: str, values: Mapping[str, float]) -> None:
        """A metric's values, on the screen and in the trackers."""
        self._values |= {key: (images / 1000, value) for key, value in values.items() if not key.endswith("_se")}
        self._scalars(images, {f"metrics/{key}": value for key, value in values.items()})
        self.say(f"{name}: " + "  ".join(f"{key} {value:.4f}" for key, value in values.items()))

    def pictures(self, images: int, paths: Iterable[Path]) -> None:
        """Show picture files in the trackers, under their names without the number at the end."""
        for path in paths:
            self._try(partial(self._picture, images, path))

    def spend(self, part: str, seconds: float) -> None:
        """Count time that was measured elsewhere."""
        self.seconds[part] += seconds

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Count the time of the block as "metrics" or "snapshots"."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.spend(part, time.perf_counter() - start)

    def finish(self, images: int, best: str | None = None) -> None:
        """Say how far the run has come, what its time went to, its last metrics and where to look.

        best: the best result so far in words, for example "di -0.12 at 400 kimg: network-snapshot-000400.safetensors".
        """
        for line in self.summary(images, best):
            self.say(line)

    def summary(self, images: int, best: str | None = None) -> list[str]:
        """The lines of `finish`."""
        state = "finished" if images >= self._total else "stopped"
        lines = [f"{state} at {images / 1000:g} of {self._total / 1000:g} kimg after {_duration(self._spent)}"]
        if self._spent > 0:
            shares = ", ".join(f"{part} {s / self._spent:.1%} ({_duration(s)})" for part, s in self.seconds.items())
            lines.append(f"time: {shares}")
        if self._values:
            last = ", ".join(f"{key} {value:.4g} ({kimg:g} kimg)" for key, (kimg, value) in self._values.items())
            lines.append(f"last metrics: {last}")
        if best is not None:
            lines.append(f"best: {best}")
        lines.append(f"see {self.run_dir}: README.txt, fakes*.png; curves: tensorboard --logdir={self.run_dir}")
        return lines

    @property
    def _spent(self) -> float:
        return sum(self.seconds.values())

    def _append(self, images: int, numbers: Mapping[str, float]) -> None:
        line = {"kimg": images / 1000, "time": time.time(), **{name: _finite(value) for name, value in numbers.items()}}
        with open(self.run_dir / STATS, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")

    def _of_thread(self, args: threading.ExceptHookArgs) -> None:
        """TensorBoard's thread ends when it cannot write; the main thread is told at the next call, and says it."""
        if not (isinstance(args.exc_value, OSError) and type(args.thread).__module__.startswith("tensorboard.")):
            self._before(args)

    def _open_tracker(self, name: str) -> None:
        self._trackers.append(open_tracker(name, self.run_dir, self._images))

    def _scalars(self, images: int, numbers: Mapping[str, float]) -> None:
        for tracker in self._trackers:
            self._try(partial(tracker.scalars, images, numbers))

    def _picture(self, images: int, path: Path) -> None:
        if not self._trackers:
            return
        with open_image(path) as picture:
            small = picture.convert("RGB")
        small.thumbnail((BOARD_SIDE, BOARD_SIDE))
        name = path.stem.rstrip("0123456789.")
        for tracker in self._trackers:
            self._try(partial(tracker.picture, images, f"pictures/{name}", np.asarray(small)))

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except (OSError, UnicodeError) as error:  # TensorBoard takes names in UTF-8 only
            if not self._complained:
                self._complained = True
                reason = getattr(error, "strerror", None) or error
                self.say(f"cannot write logs to {self.run_dir} ({reason}); the run goes on without them")

    def _to_file(self, text: str) -> None:
        """A line in log.txt only."""
        record = logger.makeRecord(logger.name, logging.INFO, "", 0, text, (), None)
        self._log_file.emit(record)


class NoLog:
    """What ranks other than the first use: nothing is shown or written."""

    seconds: Mapping[str, float] = {}

    def __enter__(self) -> "NoLog":
        return self

    def __exit__(self, *error) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def progress(self, images: int) -> None:
        pass

    def first_step(self, images: int, seconds: float) -> None:
        pass

    def tick(self, images: int, seconds_per_kimg: float, report: Mapping[str, ScalarSummary]) -> None:
        pass

    def metric(self, images: int, name: str, values: Mapping[str, float]) -> None:
        pass

    def pictures(self, images: int, paths: Iterable[Path]) -> None:
        pass

    def spend(self, part: str, seconds: float) -> None:
        pass

    def timed(self, part: str) -> nullcontext:
        return nullcontext()

    def finish(self, images: int, best: str | None = None) -> None:
        pass


_BAR = "{l_bar}{bar}| {n:.2f}/{total:.1f} kimg [{elapsed}<{remaining}{postfix}]"


class _QuietFile(logging.FileHandler):
    """A line that cannot be written is left out; the same line still reaches the screen."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def close(self) -> None:
        with suppress(OSError):
            super().close()


def _flatten(report: Mapping[str, ScalarSummary]) -> dict[str, float]:
    """Means of everything; minimum and maximum too of the scores, for the score curves (EqGAN-SA, figure 1).

    scores/di is the lowest score of a real image minus the highest of a generated one since the last tick. The metric
    di compares 64 of each at a time, so that it does not depend on the length of a tick; this one costs nothing.
    """
    numbers = {name: summary.mean for name, summary in report.items()}
    for name, summary in report.items():
        if name.startswith("scores/"):
            numbers |= {f"{name}/min": summary.min, f"{name}/max": summary.max, f"{name}/std": summary.std}
    if {"scores/real", "scores/fake"} <= report.keys():
        numbers["scores/di"] = report["scores/real"].min - report["scores/fake"].max
    return numbers


def _forget_after(path: Path, images: int) -> None:
    """Drop the lines of later images, and those that are damaged, such as an unfinished last one."""
    if not path.exists():
        return
    kept = [line for line in read_lines(path) if _is_up_to(line, images)]
    text = "".join(json.dumps(line) + "\n" for line in kept)
    if text.encode() != path.read_bytes():
        write_text(path, text)


def _is_up_to(line: dict, images: int) -> bool:
    kimg = line.get("kimg")
    return isinstance(kimg, int | float) and kimg * 1000 <= images + 0.5


def _has_terminal() -> bool:
    return sys.stderr.isatty()


def _finite(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None


def _duration(seconds: float) -> str:
    """Such as 2 d 3 h, 3 h 5 min, 4 min 12 s, 3.1 s."""
    whole = round(seconds)
    for unit, smaller, size, part in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // part} {smaller}"
    return f"{seconds:.1f} s"
