"""Plots of a run from its stats.jsonl and metric files."""

from pathlib import Path
from typing import Any

import click

from dnnlib import files
from dnnlib.files import write_by


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a .jsonl file; damaged lines are left out, which is said."""
    return files.read_lines(path, lambda complaint: click.echo(complaint, err=True))


def plot_scores(run_dir: Path, target: Path) -> None:
    """D's scores over time: mean, lowest real and highest generated one (EqGAN-SA, figure 1), and DI below."""
    plt = _pyplot()
    stats = read_lines(run_dir / "stats.jsonl")
    kimg = [line["kimg"] for line in stats]
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(7, 6), sharex=True, layout="constrained")
    for name, label, color in (("scores/real", "real", "tab:blue"), ("scores/fake", "generated", "tab:orange")):
        upper.plot(kimg, [line.get(name) for line in stats], color, label=f"{label}, mean")
    upper.plot(kimg, [line.get("scores/real/min") for line in stats], "tab:blue", ls=":", label="real, lowest")
    upper.plot(kimg, [line.get("scores/fake/max") for line in stats], "tab:orange", ls=":", label="generated, highest")
    upper.set(ylabel="score (logit of D)", title="Scores of the discriminator")
    upper.legend(fontsize="small")
    lower.plot(kimg, [line.get("scores/di") for line in stats], "tab:grey", lw=0.8, label="all images of a tick")
    di = metric_over_time(run_dir, "di")
    lower.plot([line["kimg"] for line in di], [line["results"]["di"] for line in di], "o-", color="tab:green",
               label="64 at a time (the metric)")
    lower.axhline(0, color="grey", lw=0.5)
    lower.set(xlabel="thousands of images shown", ylabel="DI (0 is equilibrium)")
    lower.legend(fontsize="small")
    _save(figure, target)


def plot_losses(run_dir: Path, target: Path) -> None:
    """The losses of G and D and the alignment over time."""
    plt = _pyplot()
    stats = read_lines(run_dir / "stats.jsonl")
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for name in ("loss/G", "loss/D", "loss/align"):
        if any(name in line for line in stats):
            axes.plot([line["kimg"] for line in stats], [line.get(name) for line in stats], label=name)
    axes.set(xlabel="thousands of images shown", ylabel="loss", title="Losses")
    axes.legend(fontsize="small")
    _save(figure, target)


def metric_over_time(run_dir: Path, metric: str) -> list[dict]:
    """The lines of a metric from the first snapshot to the last, whenever they were written; the newest of each."""
    newest = {line["kimg"]: line for line in read_lines(run_dir / f"metric-{metric}.jsonl")}
    return [newest[kimg] for kimg in sorted(newest)]


def _pyplot():
    # Imported late: it takes half a second, and must not look for a display.
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _save(figure, target: Path) -> None:
    write_by(target, lambda file: figure.savefig(file, dpi=120, format=target.suffix[1:]))
    _pyplot().close(figure)
