"""What a run says while it trains: a progress bar, log.txt, stats.jsonl and TensorBoard."""

import json
import logging
import time
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from torch_utils.stats import Summary

logger = logging.getLogger("steergan")


class RunLog:
    """A context: opens the files of a run directory, shows the bar, closes both."""

    def __init__(self, run_dir: Path, total_images: int, images: int):
        self.run_dir = run_dir
        self._total, self._images = total_images, images

    def __enter__(self) -> "RunLog":
        self._handlers = [logging.FileHandler(self.run_dir / "log.txt"), logging.StreamHandler()]
        for handler in self._handlers:
            handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
            logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        self._redirect = logging_redirect_tqdm(loggers=[logger])
        self._redirect.__enter__()
        self._board = SummaryWriter(str(self.run_dir))
        self._bar = tqdm(total=self._total / 1000, initial=self._images / 1000, unit="kimg", bar_format=_BAR)
        return self

    def __exit__(self, *error) -> None:
        self._bar.close()
        self._board.close()
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

    def tick(self, images: int, seconds_per_kimg: float, report: dict[str, Summary]) -> None:
        """Write one line of statistics everywhere."""
        kimg = images / 1000
        numbers = {"speed/sec_per_kimg": seconds_per_kimg, **_flatten(report)}
        with open(self.run_dir / "stats.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"kimg": kimg, "time": time.time(), **numbers}) + "\n")
        for name, value in numbers.items():
            self._board.add_scalar(name, value, images)
        self._board.flush()
        shown = {"G": "loss/G", "D": "loss/D", "align": "loss/align"}
        self._bar.set_postfix({label: f"{report[name].mean:.2f}" for label, name in shown.items() if name in report})
        losses = "  ".join(f"{label} {report[name].mean:.3f}" for label, name in shown.items() if name in report)
        self._to_file(f"kimg {kimg:8.1f}  sec/kimg {seconds_per_kimg:7.2f}  {losses}")

    def metric(self, images: int, name: str, values: dict[str, float]) -> None:
        """A metric's values, on the screen and in TensorBoard."""
        for key, value in values.items():
            self._board.add_scalar(f"metrics/{key}", value, images)
        self.say(f"{name}: " + "  ".join(f"{key} {value:.4f}" for key, value in values.items()))

    def _to_file(self, text: str) -> None:
        """A line in log.txt only."""
        record = logger.makeRecord(logger.name, logging.INFO, "", 0, text, None, None)
        self._handlers[0].emit(record)


class NoLog:
    """What ranks other than the first use: nothing is shown or written."""

    def __enter__(self) -> "NoLog":
        return self

    def __exit__(self, *error) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def progress(self, images: int) -> None:
        pass

    def tick(self, images: int, seconds_per_kimg: float, report: dict[str, Summary]) -> None:
        pass

    def metric(self, images: int, name: str, values: dict[str, float]) -> None:
        pass


_BAR = "{l_bar}{bar}| {n:.1f}/{total:.1f} kimg [{elapsed}<{remaining}{postfix}]"


def _flatten(report: dict[str, Summary]) -> dict[str, float]:
    """Means of everything; minimum and maximum too of the scores, for the score curves (EqGAN-SA, figure 1)."""
    numbers = {name: summary.mean for name, summary in report.items()}
    for name, summary in report.items():
        if name.startswith("scores/"):
            numbers |= {f"{name}/min": summary.min, f"{name}/max": summary.max, f"{name}/std": summary.std}
    return numbers
