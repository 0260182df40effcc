"""Make pictures with a trained model, and say where things are in them.

\b
    python generate.py --network=runs/00000-demo --seeds=0-7 --outdir=out
    python generate.py --network=runs/00000-demo --seeds=7 --centers=0.3,-0.2 --show-heatmaps --outdir=out
    python generate.py --network=runs/00000-demo --seeds=7 --centers=-0.4,0 --move=0.8,0 --video=7.gif --outdir=out
    python generate.py --network=runs/00000-demo --seeds=1,5,9,1 --interpolate=30 --video=film.mp4 --outdir=out

A seed gives a picture, DIR/seed0007.png. Whatever consists of several goes to folders of its own: DIR/heatmaps,
DIR/strips (--move) and DIR/grids.
"""

from typing import Any, get_args

import click

from dnnlib.cli import PATH, Command, Int, Number, option, plugin_option
from training.choices import FRAMES, NoiseMode, Precision

PICTURES, STEERING, MOVING, OUTPUT, HARDWARE = "Which pictures", "Where things are", "Moving", "Output", "Hardware"


@click.command(cls=Command, help=__doc__)
@option("--network", group=PICTURES, metavar="PATH", required=True, type=PATH,
        help="Snapshot file, or a run directory for its newest one.")
@option("--seeds", group=PICTURES, metavar="LIST",
        help="Which pictures, such as 0,3,5-8. A seed always gives the same picture.")
@option("--class", "class_label", group=PICTURES, metavar="NAME|K|LIST",
        help="For models trained with labels: a class by its name or number, or a whole label, numbers with commas "
             "between.")
@option("--text", group=PICTURES, metavar="WORDS",
        help="For models trained with captions: what to show, such as 'a blue cone left of a red ball'.")
@option("--label-map", group=PICTURES, metavar="FILE.png|DISCS", type=PATH,
        help="For models trained with label maps: a picture of class numbers, or discs CLASS:X,Y,RADIUS, such as "
             "'ball:0.3,-0.2,0.35;cone:-0.4,0,0.3'.")
@option("--trunc", group=PICTURES, metavar="PSI", type=Number(-10, 10), default=1.0, show_default=True,
        help="Less variety for more typical pictures: 1 is off, 0 makes all of them the mean. Models that truncate z "
             "(BigGAN) draw its values beyond +-PSI again; there, too, 1 is off.")
@option("--trunc-cutoff", group=PICTURES, metavar="N", type=Int(0, 1000), show_default="all layers",
        help="Truncate the first N layers only.")
@option("--noise-mode", group=PICTURES, type=click.Choice(get_args(NoiseMode)), default="const", show_default=True,
        help="Fine grain: the model's own, by seed, or none.")
@option("--latents", "--projected-w", group=PICTURES, metavar="FILE.npz", type=PATH,
        help="Fixed latents instead of random ones: array w [N, num_ws, w_dim] or z [N, z_dim]. A single one serves "
             "all seeds.")
@option("--centers", group=STEERING, metavar="PLACES", multiple=True,
        help="Put centres at 'level:index:x,y', or level 0 at 'x,y' and levels 1 and 2 with it. From -1,-1 (top "
             "left) to 1,1. Several: ';' between them, or the option again.")
@option("--layout", "layouts", group=STEERING, metavar="FILE.json", type=PATH, multiple=True,
        help="Layouts from a file, or from several: one for all pictures, or one each.")
@option("--remove", "removals", group=STEERING, metavar="LIST", multiple=True,
        help="Take objects away: 'level:index', or 'index' at level 0; several with ',' between them.")
@option("--spread", "spreads", group=STEERING, metavar="LIST", multiple=True,
        help="How far an object reaches: 'object=value', twice the variance of its heatmap (an object as in "
             "--remove). 'object=from:to' makes a strip, or a --video, of --frames steps.")
@option("--strength", "strengths", group=STEERING, metavar="LIST", multiple=True,
        help="How much of an object there is, from 1 to 0: 'object=value', or 'object=1:0', which removes it "
             "gradually.")
@option("--restyle", "restyles", group=STEERING, metavar="OBJECT:SEED[:OTHER]", multiple=True,
        help="Give an object of a scene the style that it, or another object, has with another seed; the number after "
             "the last object's is the background's.")
@option("--direction", "directions", group=STEERING, metavar="FILE:K:STRENGTH", multiple=True,
        help="Go along direction K (number or name) of a file of `edit.py directions` by so many standard deviations, "
             "-3 to 3 as a rule. Can be repeated.")
@option("--move", "moves", group=MOVING, metavar="WAYS", multiple=True,
        help="Move a centre by 'level:index:dx,dy': writes a strip per seed. Several move together.")
@option("--frames", group=MOVING, metavar="N", type=Int(2, 10_000), show_default=str(FRAMES),
        help="Steps of a --move or a range, both ends included.")
@option("--interpolate", group=MOVING, metavar="N", type=Int(1, 10_000),
        help="A film through the pictures, N frames from each to the next: --seeds, --latents and layouts are "
             "keyframes, and where there is one of either, it stays. Styles w and centres go along cubic splines; "
             "between two keyframes, w is a straight line (lerp).")
@option("--video", group=MOVING, metavar="FILE", type=PATH, show_default="film.gif in --outdir, of --interpolate",
        help="Show the --move of all seeds as a .gif or .mp4, too; or where --interpolate goes.")
@option("--outdir", group=OUTPUT, metavar="DIR", required=True, type=PATH,
        help="Folder for the pictures; made when it is missing.")
@option("--scale", group=OUTPUT, metavar="N", type=Int(1, 64), default=1, show_default=True,
        help="Enlarge small pictures: every pixel becomes N x N.")
@option("--grid", group=OUTPUT, metavar="WxH",
        help="One PNG of W columns and H rows; without --seeds, seeds 0 to W*H-1.")
@option("--show-heatmaps", group=OUTPUT, is_flag=True,
        help="Write a second PNG with the heatmaps beside each picture.")
@option("--save-layout", group=OUTPUT, metavar="FILE.json", type=PATH,
        help="Write the layouts used (before any --move).")
@option("--batch", group=HARDWARE, metavar="N", type=Int(1, 2**16), default=32, show_default=True,
        help="Pictures computed at a time.")
@option("--precision", group=HARDWARE, type=click.Choice(get_args(Precision)), default="trained", show_default=True,
        help="What the network computes in: as it was trained, or all layers in one type.")
@option("--device", group=HARDWARE, default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@plugin_option(PICTURES)
def main(**given: Any) -> None:
    from training.generation import GenerateRequest, generate

    written = generate(GenerateRequest(**given))
    others = f" and {len(written) - 3} more" if len(written) > 3 else ""
    click.echo(f"wrote {', '.join(map(str, written[:3]))}{others}")


if __name__ == "__main__":
    main()
