"""A small steerable GAN from nothing, on the CPU: make pictures, train, show what it learnt (`make demo`).

Runs the project's own commands one after the other and prints each, so that they can be tried alone.
"""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click

from dnnlib.cli import COUNT_LIMIT, Command, Int, Number, option
from dnnlib.errors import UserError
from dnnlib.files import read_lines, write_text

STEP_LIMIT = 2 * 24 * 3600  # seconds; with its own settings, the longest step takes minutes
METRICS = ("di", "w", "centroid_co_move")


@click.command(cls=Command)
@option("--outdir", type=Path, default=Path("demo"), show_default=True, help="Folder for data, run and results.")
@option("--kimg", type=Number(0.001, 1e9), show_default="what --cfg=demo says", help="Train for N thousand images.")
@option("--images", type=Int(1, COUNT_LIMIT), default=8000, show_default=True, help="Pictures in the toy data set.")
def main(outdir: Path, kimg: float | None, images: int) -> None:
    """Make toy pictures, train on them for a few minutes, and write a folder that shows the result."""
    outdir = outdir.expanduser()
    data, runs, results = outdir / "critters32.zip", outdir / "runs", outdir / "results"
    if not data.exists():
        run("dataset_tool.py", "toy", "--kind=critters", f"--images={images}", "--resolution=32", f"--dest={data}")
    length = [] if kimg is None else [f"--kimg={kimg:g}"]
    run("train.py", f"--outdir={runs}", f"--data={data}", "--cfg=demo", "--device=cpu", *length)
    run_dir = newest_run(runs)
    run("calc_metrics.py", f"--network={run_dir}", f"--metrics={','.join(METRICS)}", "--num=50", "--device=cpu")
    collect(run_dir, results)
    click.echo(f"\nLook at {results}:")
    for path in sorted(results.iterdir()):
        click.echo(f"  {path}")
    click.echo(f"The run itself is in {run_dir}. It is finished; to train it further:")
    click.echo(f"  {shlex.join([sys.executable, 'train.py', f'--resume={run_dir}', '--kimg=40'])}")


def run(*words: str) -> None:
    """Show and run `python words...`. Raises UserError when it fails or takes longer than STEP_LIMIT."""
    click.secho(f"\n$ python {' '.join(words)}", bold=True)
    try:
        done = subprocess.run([sys.executable, *words], timeout=STEP_LIMIT, check=False)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"`python {' '.join(words)}` was stopped: not finished within {STEP_LIMIT:g} s") from error
    if done.returncode != 0:
        raise UserError(f"`python {' '.join(words)}` failed with exit status {done.returncode}; its message is above")


def newest_run(runs: Path) -> Path:
    """The run directory with the highest number."""
    return max(path for path in runs.iterdir() if (path / "config.json").exists())


def collect(run_dir: Path, results: Path) -> None:
    """Copy the last pictures, draw the curves, write the table of metrics."""
    from training.pictures.plots import plot_losses, plot_scores
    from training.runs.snapshot import find_snapshot

    results.mkdir(parents=True, exist_ok=True)
    kimg = find_snapshot(run_dir).stem.removeprefix("network-snapshot-")
    titles = {"fakes": "1-samples.png", "heatmaps": "2-samples-with-heatmaps.png", "steer": "3-moving-centre.png"}
    for name, target in titles.items():
        shutil.copyfile(run_dir / f"{name}{kimg}.png", results / target)
    plot_scores(run_dir, results / "4-scores.png")
    plot_losses(run_dir, results / "5-losses.png")
    write_text(results / "6-metrics.txt", metrics_table(run_dir))


def metrics_table(run_dir: Path) -> str:
    """The newest value of every metric, one line each."""
    lines = [f"{'metric':40} value", f"{'-' * 40} -----"]
    for name in METRICS:
        for key, value in read_lines(run_dir / f"metric-{name}.jsonl")[-1]["results"].items():
            label = key if key == name else f"{name}: {key}"
            lines.append(f"{label:40} {value:.4f}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
