"""How well methods edit one attribute and leave the others alone: several seeds, error bars, curves.

    python -m experiments.directions --outdir=directions --seeds=0,1,2

The list names a network, what measures attributes, and rows, each a method in W or Z. A seed chooses the random latents
that a method is fitted to, what it learns from, and the pictures that are edited. The same command again goes on where
it was stopped. OUTDIR/results.json holds every value, table.md means over seeds with 95% intervals (Student's), and by
how much the first row is above the others, seed by seed; curves.png the curves of the first seed. It prints first the
correlations of attributes among random pictures: how entangled they are. experiments/sums.yaml is another list.
"""

from pathlib import Path
from typing import Any

import click

from dnnlib.cli import FILE, Command, Seeds
from experiments.steer import MOST_SEEDS

LIST = Path(__file__).with_suffix(".yaml")


@click.command(cls=Command)
@click.option("--outdir", type=FILE, default=Path("directions"), show_default=True, help="Folder for what is written.")
@click.option("--list", "path", type=FILE, default=LIST, help="Another list than experiments/directions.yaml.")
@click.option("--seeds", type=Seeds(MOST_SEEDS), default="0,1,2", show_default=True,
              help="Of latents, of what is learnt, and of edits.")
@click.option("--only", metavar="NAME;...", help="Some of the rows.")
@click.option("--device", default="auto", show_default=True, help="auto, cuda or cpu.")
def main(**given: Any) -> None:
    """Measure every row with every seed; write results.json, table.md and curves.png."""
    from experiments.studies.directions import study

    study(**given)


if __name__ == "__main__":
    main()
