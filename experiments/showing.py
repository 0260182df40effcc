"""What demo.py shows: moves, parts and styles of a model, the progress of a training, and the verdict in words."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from training.data.dataset import ImageDataset
from training.layouts.layout import Layout
from training.pictures.grids import image_grid, moving_strip, save_png, side_by_side, steering_grid
from training.sampling import Model

ROWS = range(4)  # seeds of moves
STYLES = range(16)  # and of styles under one layout
PART, REACH, STEPS = 1, 0.3, 7  # the level whose first center is moved, how far to each side, in how many pictures
COLUMNS = 4  # of samples, and of real pictures beside them

_START = re.compile(r"starting at .* kimg on \w+: (.+)$")
_TICK = re.compile(r"kimg\s+(\d+(?:\.\d+)?)\s+sec/kimg")
_BAR = "{l_bar}{bar}| {n:.1f} of {total} thousand images [{elapsed}<{remaining}]"


def show(path: Path, results: Path) -> Iterator[str]:
    """Draw a model's moves, parts and styles below `results`; yields what to look at, line by line."""
    model = Model.load(path, "cpu")
    layout = _middle(model, [STYLES[0]])
    styles = image_grid(model.images(list(STYLES), layout=layout), columns=8)
    yield f"{path.name}, which comes with the project:"
    yield f"  an object is moved: {save_png(results / '1-shipped-moves.png', steering_grid(model, ROWS))}"
    yield f"  a part is moved: {save_png(results / '2-shipped-parts.png', part_grid(model))}"
    yield f"  many styles, one layout: {save_png(results / '3-shipped-styles.png', styles)}"


def part_grid(model: Model) -> np.ndarray:
    """A row for each seed: the first center of level PART goes from left to right. Uint8 [H, W, 3]."""
    way, still = torch.linspace(-REACH, REACH, STEPS), torch.zeros(STEPS)
    strips = []
    for seed in ROWS:
        layout = _middle(model, [seed]).to("cpu").repeat(STEPS).moved(PART, 0, way, still)
        strips.append(moving_strip(model.images([seed] * STEPS, layout=layout), layout, level=PART))
    return np.concatenate(strips)


def _middle(model: Model, seeds: list[int]) -> Layout:
    """Their layouts, with the first center of level 0 in the middle of the picture."""
    layout = model.layout(seeds)
    assert layout is not None, "the model that comes with the project takes layouts"
    x, y = layout.centers[0][:, 0].unbind(1)
    return layout.moved(0, 0, -x, -y)


def beside_real(model: Model, data: Path, count: int) -> np.ndarray:
    """Samples (left) and as many real pictures (right). Uint8 [H, W, 3]."""
    dataset = ImageDataset(data)
    reals = np.stack([dataset[number][0] for number in range(min(count, len(dataset)))])
    samples = model.images(list(range(len(reals))))
    return side_by_side([image_grid(pictures, COLUMNS) for pictures in (samples, reals)])


def verdict(values: Mapping[str, float]) -> str:
    """How far objects follow, in words, from the results of centroid_co_move."""
    ratio, spread = values["from_centre"], values["from_centre_ci95"]
    if not np.isfinite(ratio):
        return "No object stands out from its background yet, so there is nothing that could follow."
    said = f"Objects make {ratio:.2f} +- {spread:.2f} of the move they are told to make (1: all of it): they "
    if ratio >= 0.7:
        return said + "go where their centers go."
    if ratio >= 0.3:
        return said + "follow, but stop short; longer training helps."
    return said + "hardly listen yet; longer training helps."


@contextmanager
def started(words: list[str], environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A training that runs beside what is done meanwhile, its log in a pipe; stopped, where that fails."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, errors="replace", env=environment) as process:
        try:
            yield process
        except BaseException:
            process.terminate()
            raise


def follow(process: subprocess.Popen[str], limit: float) -> int:
    """Show the ticks of a training's log as a bar (without a terminal, as lines); returns its exit status.

    Raises subprocess.TimeoutExpired when it has ended its output, but not itself, after `limit` seconds.
    """
    assert process.stdout is not None  # it is a pipe
    with tqdm(bar_format=_BAR, total=0.0, disable=None) as bar:
        for line in process.stdout:
            _report(bar, line.rstrip())
        return process.wait(limit)


def _report(bar: tqdm, line: str) -> None:
    start, tick = _START.search(line), _TICK.search(line)
    if start:
        bar.total = total_kimg(Path(start[1]))
    if tick and not bar.disable:
        bar.update(float(tick[1]) - bar.n)
    else:
        bar.write(line, file=sys.stdout)


def total_kimg(run_dir: Path) -> float | None:
    """How long a run is to be, in thousands of images; None where its configuration does not say."""
    path = run_dir / "config.json"
    return json.loads(path.read_text(encoding="utf-8"))["schedule"]["total_kimg"] if path.exists() else None
