"""`edit.py drag`: points of a picture pulled to their targets, as a strip and a video."""

from typing import Any

import click

from dnnlib.cli import PATH, Command, Int, Number, option, plugin_option
from dnnlib.words import counted
from editing.commands._picture import WHICH, output_options, picture_options

HOW = "How it is dragged"


@click.command(cls=Command)
@picture_options
@option("--points", group=HOW, metavar="X,Y>X,Y", required=True, multiple=True,
        help="From where to where, from -1,-1 (top left) to 1,1. Several: ';' between them, or the option again.")
@option("--mode", group=HOW, type=click.Choice(["latent", "alternate", "hybrid"]), default="hybrid",
        show_default=True,
        help="Change styles only; styles and centers in turn; or centers first, then both.")
@option("--mask", group=HOW, metavar="FILE.png|X,Y,R", type=PATH,
        help="Where the picture may change: white in a picture, or inside of a circle.")
@option("--max-steps", group=HOW, metavar="N", type=Int(1, 10_000), default=200, show_default=True,
        help="Gradient steps at most.")
@option("--lr", group=HOW, metavar="RATE", type=Number(above=0, most=10), show_default="that of DragOptions",
        help="Learning rate of the styles.")
@option("--features", group=HOW, metavar="N", type=Int(4, 4096), show_default="half of the picture's",
        help="Resolution of the feature map that is looked at.")
@output_options
@plugin_option(WHICH)
def command(**given: Any) -> None:
    """Pull points of a picture to where they should be, and write the pictures on the way.

    \b
        python edit.py drag --network=runs/00000-demo --seed=7 --points="0.1,0>0.5,0" --out=strip.png
    """
    from editing.drag_request import DragRequest, drag_to_files

    written, last = drag_to_files(DragRequest(**given))
    distances = ", ".join(f"{distance:.1f}" for distance in last.distances)
    click.echo(f"{last.reason} after {counted(last.step, 'step')}; distance left: {distances} pixels")
    click.echo(f"wrote {', '.join(map(str, written))}")
