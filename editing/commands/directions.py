"""edit.py directions: find directions in a model's latent space, and show them."""

from typing import Any

import click

from dnnlib.cli import PATH, SEED, Command, Int, Number, option, plugin_option

WHAT, HOW, FIGURE, OUTPUT, HARDWARE = "What to find", "How", "Figure", "Output", "Hardware"
METHODS = ("sefa", "ganspace", "interfacegan", "interfacegan-conditional", "sgf")


@click.command(cls=Command)
@option("--network", group=WHAT, metavar="PATH", required=True, type=PATH,
        help="Snapshot file, or a run directory for its newest one.")
@option("--method", group=WHAT, type=click.Choice(METHODS), default="sefa", show_default=True,
        help="sefa: from the weights. ganspace: from random styles. The others learn, from random pictures, directions "
             "(interfacegan) or a field (sgf) for what a --condition measures.")
@option("--condition", "conditions", group=WHAT, metavar="WHAT", multiple=True,
        show_default="scene: and the kind of toy scenes in the data's name",
        help="What interfacegan and sgf are to change: scene:KIND or points:KIND of toy scenes, a classifier's FILE.pt "
             "(TorchScript: runs its code) or FILE.onnx, clip:MODEL.pt:TOKENIZER.json:text;text. Can be repeated.")
@option("--count", group=HOW, metavar="N", type=Int(1, 4096), default=10, show_default=True,
        help="Directions of sefa and ganspace, the strongest first.")
@option("--layers", group=HOW, metavar="A-B", show_default="all", help="Only styles of these layers move, such as 0-3.")
@option("--part", group=HOW, type=click.Choice(["objects", "background"]), show_default="objects",
        help="In scenes of several objects: whose styles.")
@option("--space", group=HOW, type=click.Choice(["w", "z", "w+layout"]), default="w", show_default=True,
        help="Where sgf moves latents; w+layout: the centers of heatmaps, too.")
@option("--samples", group=HOW, metavar="N", type=Int(2, 1_000_000), default=10_000, show_default=True,
        help="Random latents that are looked at.")
@option("--fit-seed", group=HOW, type=SEED, default=0, show_default=True, help="Of these, and of what is learnt.")
@option("--seed", group=FIGURE, type=SEED, default=0, show_default=True, help="The picture in the figure.")
@option("--class", "class_number", group=FIGURE, metavar="K", type=Int(0), help="For models trained with labels.")
@option("--trunc", group=FIGURE, metavar="PSI", type=Number(-10, 10), default=1.0, show_default=True,
        help="Truncation of that picture: 1 is off.")
@option("--span", group=FIGURE, metavar="S", type=Number(above=0, most=1000), default=3.0, show_default=True,
        help="Columns go from -S to S, in standard deviations.")
@option("--columns", group=FIGURE, metavar="N", type=Int(2, 100), default=7, show_default=True,
        help="Strengths in the figure.")
@option("--dest", group=OUTPUT, metavar="FILE.safetensors", required=True, type=PATH,
        help="For generate.py --direction, the editor's --directions and calc_metrics.py --method.")
@option("--figure", group=OUTPUT, metavar="FILE.png", type=PATH, show_default="beside --dest",
        help="A row for each direction, a column for each strength.")
@option("--device", group=HARDWARE, default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@plugin_option(WHAT)
def command(**given: Any) -> None:
    """Find directions in the latent space of a model: a file of them, and a figure of what they do.

    \b
        python edit.py directions --network=runs/00000-demo --method=sefa --dest=sefa.safetensors
        python generate.py --network=runs/00000-demo --seeds=0-7 --direction=sefa.safetensors:0:2 --outdir=out
    """
    from editing.latent.directions_request import DirectionsRequest, fit_to_files

    written, said = fit_to_files(DirectionsRequest(**given))
    for line in said:
        click.echo(line)
    click.echo(f"wrote {', '.join(map(str, written))}")
