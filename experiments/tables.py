"""A table of the papers, measured: its rows trained on one data set, and what they reach beside the paper's numbers.

    python -m experiments.tables --table="EqGAN-SA, table 1" --data=data/cat256.zip --on="LSUN Cat" --seeds=0,1,2
    python -m experiments.tables --table="EqGAN-SA, table 1" --data=toys.zip --cfg=demo --train="--kimg=10" \\
        --metrics=centroid_co_move:from_centre,di,rfd2k_full

The second line is a small stand-in: another configuration and length, other metrics. The same command again goes on
where it was stopped. OUTDIR/results.json holds every value, OUTDIR/table.md means over seeds with 95% intervals.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from dnnlib.cli import FILE, Command, Seeds
from dnnlib.errors import UserError
from dnnlib.files import make_dir, write_text
from dnnlib.parsing import nearest
from experiments.steer import MOST_SEEDS, Comparison, carry_out_all, table
from training.presets.tables import Row, rows

MEASURED_BY = {
    "FID": ("fid50k_full", "fid50k_full"),
    "DI": ("di", "di"),
    "W": ("w", "w"),
    "Recall": ("pr50k3_full", "pr50k3_full_recall"),
    "Co-move": ("co_move50k", "co_move"),
}


def rows_of(title: str) -> list[Row]:
    """The rows of a table. Raises UserError when the papers have no such table."""
    found = [row for row in rows().values() if row.table == title]
    if not found:
        raise UserError(f"--table '{title}' is unknown{nearest(title, {row.table for row in rows().values()})}")
    return found


def comparison(found: Sequence[Row], cfg: str | None, train: str, metrics: str | None) -> Comparison:
    """What to train and to measure: the paper's quantities, or other metrics, NAME or NAME:KEY with commas."""
    quantities = dict.fromkeys(name for row in found for numbers in row.paper.values() for name in numbers)
    pairs = [MEASURED_BY[name] for name in quantities]
    if metrics is not None:
        pairs = [(name, key or name) for name, _, key in (each.strip().partition(":") for each in metrics.split(","))]
    words = {row.name: [f"--cfg={cfg or row.cfg}", f"--method={row.name}"] for row in found}
    return Comparison([], _split(train), pairs, words)


def _split(words: str) -> list[str]:
    try:
        return shlex.split(words)
    except ValueError as error:
        raise UserError(f"--train '{words}': {str(error).lower()}; close what is quoted") from error


def of_the_paper(found: Sequence[Row], data: str | None) -> dict[str, dict[str, str]]:
    """Columns of the paper's numbers, {title: {row: number}}: of one data set, or of all."""
    columns: dict[str, dict[str, str]] = {"in the paper": {row.name: row.label for row in found}}
    for row in found:
        for name, numbers in row.paper.items():
            if data in (None, name):
                for quantity, number in numbers.items():
                    columns.setdefault(f"{name}: {quantity}", {})[row.name] = f"{number:g}"
    return columns


@click.command(cls=Command)
@click.option("--table", "title", required=True, help='As docs/reproduce.md has it, for example "EqGAN-SA, table 1".')
@click.option("--data", required=True, type=FILE, help="The images to train on.")
@click.option("--on", metavar="NAME", help='Whose numbers to show, for example "LSUN Cat"; all, if not given.')
@click.option("--outdir", type=FILE, default=Path("table"), show_default=True, help="Folder for runs and table.")
@click.option("--cfg", help="Another base configuration than the papers'.")
@click.option("--train", default="", metavar="WORDS", help='More options of train.py, such as "--kimg=10 --gpus=8".')
@click.option("--metrics", metavar="NAME[:KEY],...", help="Others than the paper's quantities, see calc_metrics.py.")
@click.option("--seeds", type=Seeds(MOST_SEEDS), default="0", show_default=True, help="Of training.")
@click.option("--device", default="auto", show_default=True, help="auto, cuda or cpu.")
def main(
    title: str, data: Path, on: str | None, outdir: Path, cfg: str | None, train: str, metrics: str | None,
    seeds: list[int], device: str,
) -> None:  # fmt: skip
    """Train and measure the rows of one of the papers' tables, and write results.json and table.md."""
    found = rows_of(title)
    beside = of_the_paper(found, on)
    if on is not None and len(beside) == 1:
        raise UserError(f"--on '{on}': {title} has {', '.join(dict.fromkeys(n for row in found for n in row.paper))}")
    which = comparison(found, cfg, train, metrics)
    names = list(which.rows)
    for results in carry_out_all(which, names, seeds, data, make_dir(outdir), device):
        write_text(outdir / "table.md", table(which, results, beside))
    click.echo("\n" + (outdir / "table.md").read_text(encoding="utf-8"), nl=False)


if __name__ == "__main__":
    main()
