"""edit.py towards: a picture edited until what a condition measures in it is near a target, as a strip."""

from typing import Any

import click

from dnnlib.cli import PATH, SEED, Command, Int, Number, option, plugin_option
from editing.commands._picture import WHICH, output_options, picture_options

WHAT, HOW = "What to reach", "How"


@click.command(cls=Command)
@picture_options
@option("--target", "targets", group=WHAT, metavar="NAME=VALUE", required=True, multiple=True,
        help="An attribute of the condition and what it is to be: NAME=VALUE, or NAME+=VALUE and NAME-=VALUE from what "
             "it is. Several: ';' between them, or the option again. All else is to be kept.")
@option("--condition", "conditions", group=WHAT, metavar="WHAT", multiple=True,
        show_default="that of a fitted file, or scene: and the kind of toy scenes in the data's name",
        help="What measures attributes: scene:KIND or points:KIND of toy scenes, a classifier's FILE.pt (TorchScript: "
             "runs its code) or FILE.onnx, clip:MODEL.pt:TOKENIZER.json:text;text. Can be repeated.")
@option("--tolerance", group=WHAT, metavar="T", type=Number(above=0, most=1000), default=0.25, show_default=True,
        help="How near is near enough, in standard deviations of each attribute among random pictures.")
@option("--method", group=HOW, metavar="NAME|FILE", type=PATH, default="sgf", show_default=True,
        help="sgf, sgf-fast, interfacegan, interfacegan-conditional, ganspace, sefa or optimization; or a file of "
             "edit.py directions, which spares the fitting.")
@option("--max-steps", group=HOW, metavar="N", type=Int(1, 10_000), default=100, show_default=True,
        help="Steps at most; 20 without coming nearer end it, too.")
@option("--space", group=HOW, type=click.Choice(["w", "z", "w+layout"]), show_default="that of a fitted file, or w",
        help="Where latents move; w+layout: the centers of heatmaps, too. ganspace and sefa have directions in w only.")
@option("--layers", group=HOW, metavar="A-B", show_default="all", help="Only styles of these layers move, such as 0-3.")
@option("--samples", group=HOW, metavar="N", type=Int(2, 1_000_000), show_default="10000; 1000 where nothing is learnt",
        help="Random pictures that the method is fitted to, and that say what a standard deviation is.")
@option("--fit-seed", group=HOW, type=SEED, default=0, show_default=True, help="Of these.")
@output_options
@plugin_option(WHICH)
def command(**given: Any) -> None:
    """Edit a picture until what is measured in it is near a target, and write the pictures on the way.

    \b
        python edit.py towards --network=models/faces32.safetensors --seed=7 --target=red+=0.5 --out=strip.png
        python edit.py towards --network=models/faces32.safetensors --condition=points:faces --method=optimization \\
            --target="mouth0_x+=0.1" --out=strip.png --save-session=session.json

    A target that cannot be reached ends with the nearest picture that was found, and a line that says so.
    """
    from editing.latent.target_request import TargetRequest, edit_to_files

    written, arrival = edit_to_files(TargetRequest(**given))
    for line in arrival.said():
        click.echo(line)
    click.echo(f"wrote {', '.join(map(str, written))}")
