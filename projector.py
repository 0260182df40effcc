"""Find what makes a picture: latents and, for steerable models, the layout.

\b
    python projector.py --network=runs/00000-demo --target=photo.png --outdir=out
    python generate.py --network=runs/00000-demo --latents=out/projected.npz --layout=out/layout.json --outdir=again

Writes projected.npz (array w), layout.json, projected.json (how near each came), and each target beside what was found.
"""

from typing import TYPE_CHECKING

import click

from dnnlib.cli import PATH, SEED, Command, Int, Number, option, plugin_option
from dnnlib.errors import UserError

if TYPE_CHECKING:
    from editing.inversion import Distance, Space
    from training.sampling import Model

WHAT, SEARCH, OUTPUT, HARDWARE = "What is looked for", "How", "Output", "Hardware"


@click.command(cls=Command, help=__doc__)
@option("--network", group=WHAT, metavar="PATH", required=True, type=PATH,
        help="Snapshot file, or a run directory for its newest one.")
@option("--target", "targets", group=WHAT, metavar="PATH", required=True, multiple=True, type=PATH,
        help="A picture, or a folder of pictures; can be repeated. Other shapes are cut to a square in the middle.")
@option("--space", group=SEARCH, type=click.Choice(["w", "w+"]), default="w+", show_default=True,
        help="One style for all layers, or one each (nearer, but less like what the model makes).")
@option("--num-steps", group=SEARCH, metavar="N", type=Int(1, 100_000), default=300, show_default=True,
        help="Steps, at most; of small models half goes into finding what they can make with one style.")
@option("--lr", group=SEARCH, metavar="RATE", type=Number(above=0, most=10), default=0.05, show_default=True,
        help="The learning rate of styles at its highest, in their standard deviations.")
@option("--layout/--no-layout", "optimize_layout", group=SEARCH, default=True, show_default=True,
        help="Look for centers and spreads, too; otherwise those of the start stay.")
@option("--loss", group=SEARCH, type=click.Choice(["random", "lpips", "pixels"]), default="random", show_default=True,
        help="Beside pixels: features of random convolutions, LPIPS (downloads VGG16 once), or nothing.")
@option("--weights", group=SEARCH, multiple=True, metavar="NAME=FILE",
        help="Weights of LPIPS (vgg16, lpips) in place of the published ones, which are downloaded.")
@option("--seed", group=SEARCH, type=SEED, default=0, show_default=True, help="Of the start and of the noise.")
@option("--outdir", group=OUTPUT, metavar="DIR", required=True, type=PATH, help="Folder for what is found.")
@option("--video", group=OUTPUT, metavar="FILE", type=PATH, help="Show the descent as a .gif or .mp4, too.")
@option("--batch", group=HARDWARE, metavar="N", type=Int(1, 1024), default=16, show_default=True,
        help="Pictures looked for at a time.")
@option("--device", group=HARDWARE, default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@plugin_option(WHAT)
def main(
    network: str, targets: tuple[str, ...], space: "Space", num_steps: int, lr: float, optimize_layout: bool, loss: str,
    weights: tuple[str, ...], seed: int, outdir: str, video: str | None, batch: int, device: str,
) -> None:  # fmt: skip
    from editing.inversion import InversionOptions
    from editing.projection_request import ProjectionRequest, project

    if weights and loss != "lpips":
        raise UserError(f"--weights are those of --loss=lpips; --loss={loss} has none")
    weight = 0.0 if loss == "pixels" else 1.0
    options = InversionOptions(space, num_steps, optimize_layout, lr=lr, feature_weight=weight, seed=seed)
    request = ProjectionRequest(network, targets, outdir, options, video, batch, device)
    written = project(request, lambda model: perceptual(model, weights) if loss == "lpips" else None)
    click.echo(f"wrote {', '.join(map(str, written[:3]))}" + f" and {len(written) - 3} more" * (len(written) > 3))


def perceptual(model: "Model", weights: tuple[str, ...] = ()) -> "Distance":
    """LPIPS of pictures about [-1, 1]. Raises UserError when its weights are not to be had."""
    from metrics.extractors import Extractors, WeightFiles, weights_of
    from metrics.extractors.weights import parse_weights

    files = WeightFiles(parse_weights(weights, weights_of("lpips")))
    network = Extractors(files).perceptual_distance(model.device).network
    return lambda a, b: network(*(((x + 1) * 127.5).expand(-1, 3, -1, -1) for x in (a, b)))


if __name__ == "__main__":
    main()
