"""The table of backbones: each alone, with spatial encoding, and with alignment as well.

    python -m experiments.evidence --list=experiments/lineage.yaml --outdir=lineage
    python -m experiments.lineage --outdir=lineage

The first command trains and measures what is missing, the second prints what there is: for every metric the mean over
the seeds, with the largest distance of one from it, and the seconds of training for a thousand images. A run that is
not there is "-".
"""

from collections.abc import Iterable
from pathlib import Path

import click
import numpy as np

from dnnlib.cli import FILE, Command
from experiments.evidence import Evidence, kimg_of, newest_run, read_list, values_of

LIST = Path(__file__).with_suffix(".yaml")
KINDS = {"alone": "alone", "sel": "+ SEL", "align": "+ SEL, alignment"}
SECONDS = "s/kimg"


def figures_of(run: Evidence, outdir: Path) -> dict[str, float]:
    """{metric: value} of a run's last snapshot, and its seconds; {} for a run that is not there."""
    from training.runs.checkpoint import latest_checkpoint, read_about  # brings torch, which takes seconds

    folder = newest_run(outdir / "runs" / run.name)
    if folder is None:
        return {}
    kimg = kimg_of(folder)
    found = {name: values_of(folder, name, kimg) for name in run.metrics}
    firsts = {name: next(iter(values.values())) for name, values in found.items() if values}
    figures = {name: float(value) for name, value in firsts.items() if value is not None}
    checkpoint = latest_checkpoint(folder)
    if checkpoint is not None:
        about = read_about(checkpoint)
        figures[SECONDS] = about["seconds"].get("training", 0.0) / max(about["images"] / 1000, 1e-9)
    return figures


def table(runs: Iterable[Evidence], outdir: Path) -> str:
    """Markdown: a row for each backbone and kind, a column for each metric."""
    groups: dict[tuple[str, str], list[dict[str, float]]] = {}
    metrics: dict[str, None] = {}
    for run in runs:
        backbone, kind, *seed = run.name.split("-")
        if kind in KINDS and seed:
            groups.setdefault((backbone, kind), []).append(figures_of(run, outdir))
            metrics |= dict.fromkeys(run.metrics)
    columns = [*metrics, SECONDS]
    lines = [["backbone", "", *columns], ["---"] * (2 + len(columns))]
    for (backbone, kind), figures in groups.items():
        cells = [_cell([each[name] for each in figures if name in each]) for name in columns]
        lines.append([backbone, KINDS[kind], *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(values: list[float]) -> str:
    """The mean, and how far the farthest of several is from it."""
    if not values:
        return "-"
    mean = float(np.mean(values))
    spread = max(abs(value - mean) for value in values)
    return f"{mean:.3g}" + (f" ± {spread:.2g}" if len(values) > 1 else "")


@click.command(cls=Command, help=__doc__)
@click.option("--outdir", type=FILE, default=Path("lineage"), show_default=True, help="Folder of the runs.")
@click.option("--list", "path", type=FILE, default=LIST, help="Another list than experiments/lineage.yaml.")
def main(outdir: Path, path: Path) -> None:
    click.echo(table(read_list(path), outdir), nl=False)


if __name__ == "__main__":
    main()
