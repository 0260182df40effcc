"""The same objects moved as far by key points that are measured (SGF and its rivals), and by their heatmaps.

    python -m experiments.moving --outdir=moving --seeds=0,1

A seed chooses pictures and ways, and the random latents that a method is fitted to. Key points are those of toy scenes
(points:KIND); all of them are to move by the same way. Where the object is afterwards is seen by neither: it is the
centroid of what stands out from its row by colour. The same command again goes on where it was stopped.
OUTDIR/results.json holds every value, table.md means over seeds with 95% intervals (Student's).
"""

from pathlib import Path
from typing import Any

import click

from dnnlib.cli import FILE, PATH, Command, Int, Number, Seeds
from experiments.steer import MOST_SEEDS


@click.command(cls=Command)
@click.option("--outdir", type=FILE, default=Path("moving"), show_default=True, help="Folder for what is written.")
@click.option("--network", type=PATH, default="models/faces32.safetensors", show_default=True,
              help="A model of toy scenes with heatmaps, one object a picture.")
@click.option("--kind", default="faces", show_default=True, help="Of the toy scenes: faces or critters.")
@click.option("--starts", type=Int(1, 10_000), default=50, show_default=True, help="Pictures, for each seed.")
@click.option("--share", type=Number(0.01, 0.35), default=0.15, show_default=True,
              help="How far objects are to move, of the picture's side.")
@click.option("--samples", type=Int(2, 1_000_000), default=4000, show_default=True,
              help="Random latents that methods are fitted to.")
@click.option("--seeds", type=Seeds(MOST_SEEDS), default="0,1,2", show_default=True,
              help="Of pictures, ways and these latents.")
@click.option("--only", metavar="NAME;...", help="Some of the rows.")
@click.option("--device", default="auto", show_default=True, help="auto, cuda or cpu.")
def main(**given: Any) -> None:
    """Move every object in every way; write results.json and table.md."""
    from experiments.studies.moving import study

    study(**given)


if __name__ == "__main__":
    main()
