"""`edit.py drag`: points of a picture pulled to their targets, as a strip and a video."""

from typing import Any

import click

from dnnlib.cli import PATH, SEED, Command, Int, Number, option, plugin_option

WHICH, HOW, OUTPUT, HARDWARE = "Which picture", "How it is dragged", "Output", "Hardware"


@click.command(cls=Command)
@option("--network", group=WHICH, metavar="PATH", required=True, type=PATH,
        help="Snapshot file, or a run directory for its newest one.")
@option("--seed", group=WHICH, type=SEED, default=0, show_default=True, help="The picture; of latent and layout.")
@option("--layout", group=WHICH, metavar="FILE.json", type=PATH, help="Another layout than the seed's.")
@option("--latents", group=WHICH, metavar="FILE.npz", type=PATH,
        help="Other latents than the seed's: array w or z, such as projector.py writes; the first one.")
@option("--class", "class_label", group=WHICH, metavar="NAME|K|LIST",
        help="For models trained with labels: a class by its name or number, or a whole label.")
@option("--trunc", group=WHICH, metavar="PSI", type=Number(-10, 10), default=1.0, show_default=True,
        help="Less variety for a more typical picture: 1 is off.")
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
@option("--out", group=OUTPUT, metavar="FILE.png", required=True, type=PATH,
        help="The strip: pictures on the way, the first and the last included.")
@option("--frames", group=OUTPUT, metavar="N", type=Int(2, 100), default=7, show_default=True,
        help="Pictures in the strip at most.")
@option("--video", group=OUTPUT, metavar="FILE", type=PATH, help="Every step as a .gif or .mp4, too.")
@option("--save-latents", group=OUTPUT, metavar="FILE.npz", type=PATH, help="Write the final styles.")
@option("--save-layout", group=OUTPUT, metavar="FILE.json", type=PATH, help="Write the final layout.")
@option("--device", group=HARDWARE, default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@plugin_option(WHICH)
def command(**given: Any) -> None:
    """Pull points of a picture to where they should be, and write the pictures on the way.

    \b
        python edit.py drag --network=runs/00000-demo --seed=7 --points="0.1,0>0.5,0" --out=strip.png
    """
    from editing.drag_request import DragRequest, drag_to_files

    written, last = drag_to_files(DragRequest(**given))
    distances = ", ".join(f"{distance:.1f}" for distance in last.distances)
    click.echo(f"{last.reason} after {last.step} steps; distance left: {distances} pixels")
    click.echo(f"wrote {', '.join(map(str, written))}")
