"""Make pictures with a trained model, and say where things are in them.

    python generate.py --network runs/00000-demo --seeds 0-7 --outdir out
    python generate.py --network runs/00000-demo --seeds 7 --centers 0.3,-0.2 --show-heatmaps --outdir out
    python generate.py --network runs/00000-demo --seeds 7 --centers -0.4,0 --move 0.8,0 --video out/7.gif --outdir out
"""

from typing import get_args

import click

from dnnlib.cli import Command
from training.generation import DEFAULT_FRAMES, Request, generate
from training.networks.generator import Precision


@click.command(cls=Command)
@click.option("--network", metavar="PATH", required=True, help="Snapshot file, or a run directory for its newest one.")
@click.option("--seeds", metavar="LIST", help="Which pictures, such as 0,3,5-8. A seed always gives the same picture.")
@click.option("--outdir", metavar="DIR", required=True, help="Folder for the pictures; made when it is missing.")
@click.option("--trunc", metavar="PSI", type=float, default=1.0, show_default=True,
              help="Less variety for more typical pictures: 1 is off, 0 makes all of them the mean.")
@click.option("--trunc-cutoff", metavar="N", type=click.IntRange(min=0), help="Truncate the first N layers only.")
@click.option("--class", "class_index", metavar="K", type=int, help="Class number, for models trained with labels.")
@click.option("--noise-mode", type=click.Choice(["const", "random", "none"]), default="const", show_default=True,
              help="Fine grain: the model's own, by seed, or none.")
@click.option("--latents", "--projected-w", metavar="FILE.npz",
              help="Fixed latents instead of random ones: array w [N, num_ws, w_dim] or z [N, z_dim]. "
                   "A single one serves all seeds.")
@click.option("--centers", metavar="PLACES", multiple=True,
              help="Put centres at 'level:index:x,y', or level 0 at 'x,y' and levels 1 and 2 with it. From -1,-1 (top "
                   "left) to 1,1. Several: ';' between them, or the option again.")
@click.option("--layout", metavar="FILE.json", help="Layouts from a file: one for all pictures, or one each.")
@click.option("--save-layout", metavar="FILE.json", help="Write the layouts used (before any --move).")
@click.option("--move", "moves", metavar="WAYS", multiple=True,
              help="Move a centre by 'level:index:dx,dy': writes a strip per seed. Several move together.")
@click.option("--remove", "removals", metavar="LIST", multiple=True,
              help="Take objects away: 'level:index', or 'index' at level 0; several apart by ','.")
@click.option("--restyle", "restyles", metavar="OBJECT:SEED", multiple=True,
              help="Give an object of a scene the style that it has with another seed; one more than the last object "
                   "is the background.")
@click.option("--frames", metavar="N", type=click.IntRange(min=2),
              help=f"Steps of a --move, both ends included.  [default: {DEFAULT_FRAMES}]")
@click.option("--video", metavar="FILE", help="Show the --move of all seeds as a .gif or .mp4, too.")
@click.option("--show-heatmaps", is_flag=True, help="Write a second PNG with the heatmaps beside each picture.")
@click.option("--grid", metavar="WxH", help="One PNG of W columns and H rows; without --seeds, seeds 0 to W*H-1.")
@click.option("--batch", metavar="N", type=click.IntRange(min=1), default=32, show_default=True,
              help="Pictures computed at a time.")
@click.option("--precision", type=click.Choice(get_args(Precision)), default="trained",
              show_default=True, help="What the network computes in: as it was trained, or all layers in one type.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def main(**given):
    """Make pictures with a trained model: one PNG a seed (seed0007.png), a grid, or strips of a moving centre."""
    written = generate(Request(**given))
    others = f" and {len(written) - 3} more" if len(written) > 3 else ""
    click.echo(f"wrote {', '.join(map(str, written[:3]))}{others}")


if __name__ == "__main__":
    main()
