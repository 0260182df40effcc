"""What a layout does, in half a minute; then a small steerable GAN from nothing, in five (`make demo`).

A network is trained on toy pictures made here. While it begins, a model that comes with the project shows moves, parts
and styles. All by the project's own commands; each is printed, so that it can be tried alone. Needs no network and no
GPU.
"""

import math
import os
import shlex
import subprocess
import sys
from pathlib import Path

import click

from dnnlib.cli import COUNT_LIMIT, FILE, Command, Int, Number, option
from dnnlib.errors import UserError
from dnnlib.files import make_dir, read_lines, write_text

ROOT = Path(__file__).parent
SHIPPED = ROOT / "models" / "smileys64.safetensors"
STEP_LIMIT = 2 * 24 * 3600  # seconds; with its own settings, the longest step takes minutes
METRICS = ("di", "w", "centroid_co_move")
DATA = "balls32"
REALS = 32  # beside as many samples
METHOD = "--method=spatialgan-single"  # balls have no parts
SHORT = ("--gamma=5", "--align=0.3", "--set=optimizers.lr=0.008", "--set=schedule.cooldown=0.5")  # docs/short-runs.md
LENGTH = 11.0  # thousand images; about five minutes on one thread without AVX-512
THREADS = "OMP_NUM_THREADS"  # one: with steps of 8 small images a second thread costs more than it brings


@click.command(cls=Command)
@option("--outdir", type=FILE, default=Path("demo"), show_default=True, help="Folder for data, run and results.")
@option("--kimg", type=Number(0.001, 1e9), default=LENGTH, show_default=True, help="Train for N thousand images.")
@option("--images", type=Int(64, COUNT_LIMIT), default=8000, show_default=True, help="Pictures in the toy data set.")
def main(outdir: Path, kimg: float, images: int) -> None:
    """Show what a trained model does, then train one for a few minutes, and say how well it listens."""
    from experiments.showing import follow, started

    data, runs, results = outdir / f"{DATA}.zip", outdir / "runs", outdir / "results"
    if not data.exists():
        kind = ("toy", "--kind=balls", "--plain")  # nothing but balls to learn
        run("dataset_tool.py", *kind, f"--images={images}", "--resolution=32", f"--dest={data}")
    words = training(runs, data, kimg)
    environment = {**os.environ, THREADS: os.environ.get(THREADS, "1")}  # who has set it knows better
    announce(words, f"{THREADS}={environment[THREADS]} ")
    click.echo("runs on one core from now on; meanwhile, on another:")
    with started([sys.executable, str(ROOT / words[0]), *words[1:]], environment) as process:
        show_shipped(results)
        click.secho("\n2. A network from nothing", bold=True)
        check(words, follow(process, STEP_LIMIT))
    run_dir = newest_run(runs)
    run("calc_metrics.py", f"--network={run_dir}", f"--metrics={','.join(METRICS)}", "--num=50", "--device=cpu")
    collect(run_dir, data, results)
    conclude(run_dir, results)


def show_shipped(results: Path) -> None:
    """Pictures and numbers of the model that comes with the project; a line where it is not there."""
    click.secho("\n1. What a layout does", bold=True)
    if not SHIPPED.exists():
        click.echo(f"({SHIPPED} is not there, so there is nothing to show)")
        return
    from experiments.showing import show

    for line in show(SHIPPED, make_dir(results)):
        click.echo(line)
    words = ("--metrics=centroid_co_move", "--num=64", "--no-save", "--device=cpu")
    run("calc_metrics.py", f"--network={SHIPPED}", *words)


def training(runs: Path, data: Path, kimg: float) -> tuple[str, ...]:
    """The words of train.py."""
    often = ("--set=schedule.kimg_per_tick=0.25", "--snap=20")  # ticks, for the bar's sake, and snapshots
    return ("train.py", f"--outdir={runs}", f"--data={data}", "--cfg=demo", f"--kimg={kimg:g}", "--metrics=none",
            "--device=cpu", METHOD, *SHORT, *often)  # fmt: skip


def run(*words: str) -> None:
    """Show and run `python words...`. Raises UserError when it fails or takes longer than STEP_LIMIT."""
    announce(words)
    try:
        done = subprocess.run([sys.executable, str(ROOT / words[0]), *words[1:]], timeout=STEP_LIMIT, check=False)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"`python {' '.join(words)}` was stopped: not finished within {STEP_LIMIT:g} s") from error
    check(words, done.returncode)


def announce(words: tuple[str, ...], before: str = "") -> None:
    """Show a command that runs next, after the variables that are set `before` it."""
    click.secho(f"\n$ {before}python {' '.join(words)}", bold=True)


def check(words: tuple[str, ...], status: int) -> None:
    """Raises UserError unless a command's exit status is 0."""
    if status != 0:
        raise UserError(f"`python {' '.join(words)}` failed with exit status {status}; its message is above")


def newest_run(runs: Path) -> Path:
    """The run directory with the highest number."""
    return max(path for path in runs.iterdir() if (path / "config.json").exists())


def collect(run_dir: Path, data: Path, results: Path) -> None:
    """Draw what the new network makes, beside real pictures, and the curves; write the table of metrics."""
    from experiments.showing import beside_real
    from training.pictures.grids import save_png, steering_grid
    from training.pictures.plots import plot_losses, plot_scores
    from training.sampling import Model

    make_dir(results)
    model = Model.load(run_dir, "cpu")
    save_png(results / "4-trained-beside-real.png", beside_real(model, data, REALS))
    save_png(results / "5-trained-moves.png", steering_grid(model, range(8)))
    plot_scores(run_dir, results / "6-scores.png")
    plot_losses(run_dir, results / "7-losses.png")
    write_text(results / "8-metrics.txt", metrics_table(run_dir))


def metrics_table(run_dir: Path) -> str:
    """The newest value of every metric, one line each."""
    lines = [f"{'metric':40} value", f"{'-' * 40} -----"]
    for name in METRICS:
        for key, value in newest_results(run_dir, name).items():
            label = key if key == name else f"{name}: {key}"
            lines.append(f"{label:40} {value:.4f}")
    return "\n".join(lines) + "\n"


def newest_results(run_dir: Path, metric: str) -> dict[str, float]:
    """What a metric measured last; NaN for what could not be measured."""
    results = read_lines(run_dir / f"metric-{metric}.jsonl")[-1]["results"]
    return {key: math.nan if value is None else value for key, value in results.items()}


def conclude(run_dir: Path, results: Path) -> None:
    """The verdict in words, the pictures, and what to do next."""
    from experiments.showing import total_kimg, verdict

    click.secho("\n3. What it learnt", bold=True)
    click.echo(verdict(newest_results(run_dir, "centroid_co_move")))
    click.echo(f"\nLook at {results}:")
    for path in sorted(results.iterdir()):
        click.echo(f"  {path}")
    program, longer = sys.executable, 3 * (total_kimg(run_dir) or 0)
    print_commands({
        "train it three times as long": [program, "train.py", f"--resume={run_dir}", f"--kimg={longer:g}"],
        "move its object yourself": [program, "generate.py", f"--network={run_dir}", "--seeds=1", "--centers=0,0",
                                     "--move=0:0:0.5,0", "--frames=9", f"--outdir={results / 'moved'}"],
    })  # fmt: skip
    click.echo("Photographs of your own: docs/few-images.md. Longer runs and other methods: docs/first-run.md.")


def print_commands(commands: dict[str, list[str]]) -> None:
    """What to do next."""
    click.echo("\nNext:")
    for what, words in commands.items():
        click.echo(f"  {what}:\n    {shlex.join(words)}")


if __name__ == "__main__":
    main()
