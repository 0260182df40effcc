"""A list of small runs from data to figures, which goes on where it was stopped.

    python -m experiments.evidence --outdir=evidence
    python -m experiments.evidence --outdir=evidence --only=rooms-indoor,rooms-align-indoor
    python -m experiments.evidence --outdir=short --also="--kimg=5"

The list is experiments/evidence.yaml, every step one of the project's own commands, printed before it runs. The same
command again skips what is done: data sets that exist, runs that are finished, metrics of their last snapshot.
"""

import shlex
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import yaml

from dnnlib.cli import FILE, Command
from dnnlib.errors import REASON, UserError, in_one_line
from dnnlib.files import make_dir, read_lines, write_text
from dnnlib.json_files import read_json
from dnnlib.parsing import nearest

LIST = Path(__file__).with_suffix(".yaml")
ROOT = LIST.parents[1]
STEP_LIMIT = 14 * 24 * 3600  # seconds of one command: a training run on a CPU may take days
MISSING = "-"


@dataclass(frozen=True)
class Evidence:
    """One run: its data set, the words of its commands, and the metrics taken at its end."""

    name: str
    data: str
    dataset: list[str]
    train: list[str]
    metrics: list[str]


def read_list(path: Path) -> list[Evidence]:
    """The runs of a list. Raises UserError when it does not have the form of experiments/evidence.yaml."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        words = content.get("words", {})
        return [
            Evidence(
                name, run["data"], shlex.split(content["data"][run["data"]]), spelt_out(run["train"], words),
                [metric.strip() for metric in run["metrics"].split(",")],
            )
            for name, run in content["runs"].items()
        ]  # fmt: skip
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: not a list of runs ({type(error).__name__}: {in_one_line(error, REASON)})") from error


def spelt_out(text: str, words: dict[str, str]) -> list[str]:
    """The words of a command, with those that are a key of `words` replaced by what it stands for."""
    return [part for word in shlex.split(text) for part in shlex.split(words.get(word, shlex.quote(word)))]


def chosen(runs: list[Evidence], only: str | None) -> list[Evidence]:
    """Those named, in the list's order. Raises UserError for a name that is not in it."""
    if only is None:
        return runs
    known, wanted = [run.name for run in runs], [name.strip() for name in only.split(",")]
    for name in wanted:
        if name not in known:
            raise UserError(f"--only '{name}' is not in the list{nearest(name, known)}")
    return [run for run in runs if run.name in wanted]


def with_also(run: Evidence, text: str) -> Evidence:
    """The run with more options of train.py, which win over its own. Raises UserError where a quote is left open."""
    try:
        return replace(run, train=[*run.train, *shlex.split(text)])
    except ValueError as error:
        raise UserError(f"--also: {in_one_line(error, REASON)}: {text}") from error


def carry_out(run: Evidence, outdir: Path, device: str) -> None:
    """Data, training and metrics of one run, as far as they are not there yet."""
    data = outdir / "data" / f"{run.data}.zip"
    if not data.exists():
        make_dir(data.parent)
        command("dataset_tool.py", *run.dataset, f"--dest={data}")
    runs = outdir / "runs" / run.name
    command("train.py", f"--outdir={runs}", f"--data={data}", f"--device={device}", "--metrics=none", *run.train)
    folder, kimg = trained_run(runs)
    unknown = [name for name in run.metrics if not is_known(name)]
    if unknown:
        click.echo(f"left out, as there is no such metric here: {', '.join(unknown)}")
    missing = [name for name in run.metrics if name not in unknown and values_of(folder, name, kimg) is None]
    if missing:
        command("calc_metrics.py", f"--network={folder}", f"--metrics={','.join(missing)}", f"--device={device}")


def kimg_of(folder: Path) -> float:
    """Of a run's newest snapshot. Raises UserError where there is none."""
    from training.runs.snapshot import open_snapshot  # brings torch, which takes seconds

    return open_snapshot(folder).kimg


def is_known(metric: str) -> bool:
    """Whether calc_metrics.py has it."""
    from metrics import registry  # brings torch, which takes seconds

    try:
        registry.check([metric])
    except UserError:
        return False
    return True


def command(*words: str) -> None:
    """Show and run `python words...` in the project. Raises UserError when it fails or takes longer than STEP_LIMIT."""
    text = shlex.join(("python", *words))
    click.secho(f"\n$ {text}", bold=True)
    try:
        done = subprocess.run([sys.executable, str(ROOT / words[0]), *words[1:]], timeout=STEP_LIMIT, check=False)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"`{text}` was stopped: not finished within {STEP_LIMIT:g} s") from error
    if done.returncode != 0:
        raise UserError(f"`{text}` failed with exit status {done.returncode}; its message is above")


def newest_run(runs: Path) -> Path | None:
    """The run directory with the highest number, or None."""
    return max((path.parent for path in runs.glob("*/config.json")), default=None)


def trained_run(runs: Path) -> tuple[Path, float]:
    """The same of a training that has ended, and its kimg. Raises UserError where there is none, or it was stopped."""
    folder = newest_run(runs)
    if folder is None:
        raise UserError(f"{runs}: the training left no run directory here")
    kimg, whole = kimg_of(folder), read_json(folder / "config.json").get("schedule", {}).get("total_kimg", 0)
    if kimg < whole:
        raise UserError(f"{folder}: the training was stopped before its {whole:g} kimg; the same command goes on")
    return folder, kimg


def values_of(folder: Path, metric: str, kimg: float) -> dict[str, Any] | None:
    """The newest results of a metric at `kimg`, or None where there are none."""
    path = folder / f"metric-{metric}.jsonl"
    found = [line for line in read_lines(path) if line.get("kimg") == kimg and isinstance(line.get("results"), dict)]
    return found[-1]["results"] if found else None


def table(runs: Iterable[Evidence], outdir: Path) -> str:
    """A Markdown table of what there is: one row a run, one column a metric's first value."""
    runs = list(runs)
    metrics = list(dict.fromkeys(name for run in runs for name in run.metrics))
    lines = [["run", "kimg", *metrics], ["---"] * (2 + len(metrics))]
    for run in runs:
        folder = newest_run(outdir / "runs" / run.name)
        kimg = None if folder is None else kimg_of(folder)
        values = [None if folder is None or kimg is None else values_of(folder, name, kimg) for name in metrics]
        first = [None if not value else next(iter(value.values())) for value in values]
        cells = [MISSING if number is None else f"{number:.3f}" for number in first]
        lines.append([run.name, MISSING if kimg is None else f"{kimg:g}", *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@click.command(cls=Command)
@click.option("--outdir", type=FILE, default=Path("evidence"), show_default=True, help="Folder for data and runs.")
@click.option("--only", metavar="NAME,...", help="Some of the runs.")
@click.option("--list", "path", type=FILE, default=LIST, help="Another list than experiments/evidence.yaml.")
@click.option("--also", metavar="WORDS", default="", help="Options of train.py that every run has as well.")
@click.option("--device", default="auto", show_default=True, help="auto, cuda or cpu.")
@click.option("--show", is_flag=True, help="Run nothing; print the table of what there is.")
def main(outdir: Path, only: str | None, path: Path, also: str, device: str, show: bool) -> None:
    """Carry out the runs one after the other, and write the table of their metrics to OUTDIR/table.md."""
    runs = [with_also(run, also) for run in chosen(read_list(path), only)]
    if not show:
        make_dir(outdir)
        for run in runs:
            carry_out(run, outdir, device)
            write_text(outdir / "table.md", table(read_list(path), outdir))
    click.echo("\n" + table(runs, outdir), nl=False)


if __name__ == "__main__":
    main()
