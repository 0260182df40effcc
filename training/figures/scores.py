"""D's scores over training, of one run or of several against each other (EqGAN-SA, figure 1)."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from dnnlib.errors import UserError
from dnnlib.files import atomic_path
from training.figures.table import DPI
from training.pictures.plots import read_lines

STATS = "stats.jsonl"
LOWEST, HIGHEST = "scores/real/min", "scores/fake/max"
WINDOW = 9  # ticks that a drawn line averages; what it averages is shown faintly


def save_scores(path: str | Path, runs: Sequence[Path], labels: Sequence[str]) -> Path:
    """Plot the lowest real and the highest generated score of each run (directories) over training, as PNG.

    Raises UserError when a run has no statistics with scores.
    """
    curves = [read_scores(run) for run in runs]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for number, (label, (kimg, lowest, highest)) in enumerate(zip(labels, curves, strict=True)):
        for values, name, style in ((lowest, "lowest real", "-"), (highest, "highest generated", "--")):
            axes.plot(kimg, values, style, color=f"C{number}", alpha=0.2, lw=0.8)
            axes.plot(kimg, running_mean(values, WINDOW), style, color=f"C{number}", label=f"{name}, {label}")
    axes.set(xlabel="thousands of images shown", ylabel="score (logit of D)")
    axes.set_title("Scores of the discriminator during training", loc="left", weight="bold", size=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower left", fontsize="x-small", frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI)
    return Path(path)


def read_scores(run_dir: Path) -> tuple[list[float], list[float], list[float]]:
    """(kimg, lowest real score, highest generated score) by tick. Raises UserError when none were recorded."""
    ticks = [line for line in read_lines(run_dir / STATS) if line.get(LOWEST) is not None and HIGHEST in line]
    if not ticks:
        raise UserError(f"{run_dir}: no scores in {STATS}; give a directory that train.py wrote")
    kimg, lowest, highest = ([line[key] for line in ticks] for key in ("kimg", LOWEST, HIGHEST))
    return kimg, lowest, highest


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """Means over the `window` values around each one, fewer at both ends (as many on its left as on its right)."""
    half = window // 2
    reach = [min(half, n, len(values) - 1 - n) for n in range(len(values))]
    return [sum(values[n - r : n + r + 1]) / (2 * r + 1) for n, r in enumerate(reach)]
