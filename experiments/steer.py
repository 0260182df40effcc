"""How well methods, or options, steer: the same data and length, several seeds, error bars.

    python -m experiments.steer --outdir=steer --seeds=0,1,2
    python -m experiments.steer --outdir=short --list=experiments/short_runs.yaml --seeds=0,1

A list names one data set (arguments of dataset_tool.py), what every run has in common (of train.py), the metrics (of
calc_metrics.py, the first value of each is shown) and rows, each what is its own: more words of train.py, or {train:
words, metrics: [some of the names]} where a network cannot have all. The same command again goes on where it was
stopped. OUTDIR/results.json holds every value, OUTDIR/table.md means over seeds with 95% intervals (Student's).
"""

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml

from dnnlib.cli import FILE, Command, Seeds
from dnnlib.errors import REASON, UserError, in_one_line
from dnnlib.files import make_dir, read_lines, write_json, write_text
from dnnlib.json_files import read_json
from dnnlib.parsing import nearest
from experiments.evidence import MISSING, command, kimg_of, trained_run, values_of

LIST = Path(__file__).with_suffix(".yaml")
MOST_SEEDS = 1000
Results = dict[str, dict[str, dict[str, Any]]]  # {row: {seed: what carry_out gives}}


@dataclass(frozen=True)
class Comparison:
    """Rows {name: words of train.py} that share a data set, `common` words and metrics [(name, key)].

    `some`: {row: names of metrics} of rows that do not have all of them.
    """

    data: list[str]
    common: list[str]
    metrics: list[tuple[str, str]]
    rows: dict[str, list[str]]
    some: dict[str, list[str]] = field(default_factory=dict)

    def metrics_of(self, row: str) -> list[str]:
        """The names of the metrics that are taken of a row."""
        return list(dict.fromkeys(name for name, _ in self.metrics if name in self.some.get(row, [name])))


def read_comparison(path: Path) -> Comparison:
    """Raises UserError when a file does not have the form of experiments/steer.yaml."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        metrics = [(name, key or name) for name, _, key in (each.partition(":") for each in content["metrics"])]
        lines = {str(name): row if isinstance(row, dict) else {"train": row} for name, row in content["rows"].items()}
        rows = {name: shlex.split(row["train"]) for name, row in lines.items()}
        some = {name: [str(metric) for metric in row["metrics"]] for name, row in lines.items() if "metrics" in row}
        return Comparison(shlex.split(content["data"]), shlex.split(content["common"]), metrics, rows, some)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: not a comparison ({type(error).__name__}: {in_one_line(error, REASON)})") from error


def made_data(which: Comparison, outdir: Path) -> Path:
    """The data set of the list, made at first."""
    data = outdir / "data.zip"
    if not data.exists():
        command("dataset_tool.py", *which.data, f"--dest={data}")
    return data


def carry_out(which: Comparison, name: str, seed: int, data: Path, outdir: Path, device: str) -> dict[str, Any]:
    """Train and measure one row with one seed, as far as that is not done; {"kimg", "seconds", metric: value}."""
    runs = outdir / name / f"seed{seed}"
    words = [*which.common, *which.rows[name], f"--seed={seed}", f"--device={device}"]
    command("train.py", f"--outdir={runs}", f"--data={data}", "--metrics=none", *words)
    folder, kimg = trained_run(runs)
    missing = [metric for metric in which.metrics_of(name) if values_of(folder, metric, kimg) is None]
    if missing:
        command("calc_metrics.py", f"--network={folder}", f"--metrics={','.join(missing)}", f"--device={device}")
    return collected(which, folder)


def collected(which: Comparison, folder: Path) -> dict[str, Any]:
    """What a run has measured at its newest snapshot; None for what is not there."""
    kimg = kimg_of(folder)
    values = {f"{metric}:{key}": (values_of(folder, metric, kimg) or {}).get(key) for metric, key in which.metrics}
    seconds = [line["seconds/training"] for line in read_lines(folder / "stats.jsonl")]
    return {"kimg": kimg, "seconds": seconds[-1] if seconds else None, **values}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95% interval by Student's t; NaN for fewer than two values."""
    from scipy.stats import t

    count = len(values)
    if count < 2:
        return float(np.mean(values)), float("nan")
    return float(np.mean(values)), float(t.ppf(0.975, count - 1) * np.std(values, ddof=1) / count**0.5)


def table(which: Comparison, results: Results, beside: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """Markdown: a row a name, a column a metric; then what stands `beside` them, {column: {name: cell}}."""
    beside = beside or {}
    columns = ["seconds", *(f"{metric}:{key}" for metric, key in which.metrics)]
    titles = ["row", "seeds", "kimg", "seconds", *(key for _, key in which.metrics), *beside]
    lines = [titles, ["---"] * len(titles)]
    for name, by_seed in results.items():
        runs = list(by_seed.values())
        kimg = ", ".join(f"{each:g}" for each in sorted({run["kimg"] for run in runs}))
        cells = [cell([run[column] for run in runs]) for column in columns]
        lines.append([name, str(len(runs)), kimg, *cells, *(cells_of.get(name, "") for cells_of in beside.values())])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(values: Iterable[float | None], digits: int = 2) -> str:
    """Mean +- interval of what is there, with so many digits; whole numbers from 20 on."""
    there = [value for value in values if value is not None]
    if not there:
        return MISSING
    mean, half = interval(there)
    digits = 0 if abs(mean) >= 20 else digits
    return f"{mean:.{digits}f}" + ("" if np.isnan(half) else f" +- {half:.{digits}f}")


def chosen_rows(rows: Collection[str], only: str | None, separator: str = ",") -> list[str]:
    """Names of `rows` that --only says; all, where it says nothing. Raises UserError for a name that is no row."""
    names = list(rows) if only is None else [name.strip() for name in only.split(separator)]
    for name in names:
        if name not in rows:
            raise UserError(f"--only '{name}' is not in the list{nearest(name, rows)}")
    return names


@click.command(cls=Command)
@click.option("--outdir", type=FILE, default=Path("steer"), show_default=True, help="Folder for data, runs and table.")
@click.option("--list", "path", type=FILE, default=LIST, help="Another list than experiments/steer.yaml.")
@click.option("--seeds", type=Seeds(MOST_SEEDS), default="0,1,2", show_default=True, help="Of training.")
@click.option("--only", metavar="NAME,...", help="Some of the rows.")
@click.option("--device", default="auto", show_default=True, help="auto, cuda or cpu.")
def main(outdir: Path, path: Path, seeds: list[int], only: str | None, device: str) -> None:
    """Train and measure every row with every seed, and write results.json and table.md."""
    which = read_comparison(path)
    names = chosen_rows(which.rows, only)
    data = made_data(which, make_dir(outdir))
    for results in carry_out_all(which, names, seeds, data, outdir, device):
        write_text(outdir / "table.md", table(which, results))
    click.echo("\n" + (outdir / "table.md").read_text(encoding="utf-8"), nl=False)


def carry_out_all(
    which: Comparison, names: Sequence[str], seeds: Sequence[int], data: Path, outdir: Path, device: str
) -> Iterator[Results]:
    """After each run, all results so far in the list's order, which are in OUTDIR/results.json, too."""
    path = outdir / "results.json"
    known_results(path)  # a damaged file is told before hours of training
    for seed in seeds:  # all rows with the first seed come first: half a table with one seed says more
        for name in names:
            found = carry_out(which, name, seed, data, outdir, device)
            results = known_results(path)  # anew: the same command for other rows or seeds may run beside this one
            results.setdefault(name, {})[str(seed)] = found
            results = {row: results[row] for row in [*which.rows, *results] if row in results}
            write_json(path, results)
            yield results


def known_results(path: Path) -> Results:
    """What was written before; {} at first. Raises UserError for a file that holds something else."""
    found = read_json(path) if path.exists() else {}
    if not isinstance(found, dict) or not all(isinstance(by_seed, dict) for by_seed in found.values()):
        raise UserError(f"{path}: no results of this command; remove it, or name another --outdir")
    return found


if __name__ == "__main__":
    main()
