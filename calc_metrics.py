"""Measure a trained network, two of them side by side, or a folder of images.

\b
    python calc_metrics.py --network=runs/00000-animals --metrics=fid50k_full,pr50k3_full
    python calc_metrics.py --network=runs/00000-animals/125 --metrics=di,w --json
    python calc_metrics.py --compare runs/00000-animals/100 runs/00000-animals/125 --metrics=fid5k_full
    python calc_metrics.py --images=out/ --data=data/animals32.zip --metrics=fid,kid,pr3,is

The numbers are kept in metric-NAME.jsonl beside the snapshot. The number in a name may be any: fid5k_full, fid500.
"""

from pathlib import Path
from typing import get_args

import click

from dnnlib.cli import Command
from dnnlib.errors import UserError
from dnnlib.files import make_dir
from metrics import registry
from metrics.detectors.choice import DetectorName
from metrics.runs import Measured, Request, check, measure
from metrics.tables import comparison, table
from torch_utils.distributed import current
from torch_utils.launch import launch

DEFAULT_METRICS = {"network": "di,w", "images": "fid"}


def _print_list(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        for name, description in registry.known().items():
            click.echo(f"{name:18} {description}")
        ctx.exit()


@click.command(cls=Command, help=__doc__)
@click.option("--network", metavar="PATH",
              help="A snapshot or checkpoint file, a run directory (its newest snapshot), or RUN/NUMBER (that "
                   "at NUMBER kimg).")
@click.option("--compare", nargs=2, metavar="A B", help="Two networks instead, side by side in a table.")
@click.option("--images", metavar="PATH", help="Images in a folder or zip instead of a network's, against --data.")
@click.option("--metrics", "names", metavar="NAMES",
              help="Which ones, separated by commas; --list names them all.  [default: di,w; for --images: fid]")
@click.option("--data", metavar="PATH", help="Real images, zip or folder.  [default: those it was trained on]")
@click.option("--mirror/--no-mirror", default=None, help="Real images flipped as well.  [default: as in training]")
@click.option("--num", type=click.IntRange(min=1), metavar="N",
              help="Images, draws (di, w) or latents (co-move) instead of the usual number.")
@click.option("--trunc", metavar="PSI", type=float, default=1.0, show_default=True,
              help="Truncation of the generated images; 1 is off.")
@click.option("--layout", metavar="FILE.json", help="Layouts for the generated images: one for all, or taken in turn.")
@click.option("--gpus", "--procs", "procs", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
              help="Processes that share the work: one a GPU, or several on a CPU.")
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True,
              help="Pictures per pass; changes speed and memory, not the values.")
@click.option("--device", default="auto", show_default=True, help="auto, cuda or cpu.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0),
              help="Starts the stream that images, latents and layouts are drawn from.")
@click.option("--weights", multiple=True, metavar="[NAME=]FILE",
              help="Weights of an extractor (inception, vgg16, lpips, dinov2) in place of the published ones, which "
                   "are downloaded.")
@click.option("--detector", type=click.Choice(get_args(DetectorName)), default="auto", show_default=True,
              help="What finds objects for co_move; auto: by colour in toy and composed scenes, else Mask R-CNN.")
@click.option("--detector-weights", metavar="FILE", help="Weights of Mask R-CNN.  [default: in torchvision's cache]")
@click.option("--no-cache", is_flag=True, help="Compute the statistics of real images anew, and keep none.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per metric, nothing else.")
@click.option("--no-save", is_flag=True, help="Leave the metric-NAME.jsonl files beside the snapshot alone.")
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_print_list,
              help="Say which metrics there are.")
def main(network, compare, names, procs, no_cache, no_save, **given):
    if not (network or compare or given["images"]):
        raise UserError("--network is needed: a network-snapshot-*.safetensors or a run directory")
    if network and compare:
        raise UserError("--compare names both networks; leave --network out")
    names = names or DEFAULT_METRICS["images" if given["images"] else "network"]
    request = Request(
        networks=compare or ((network,) if network else ()),
        names=tuple(dict.fromkeys(name.strip() for name in names.split(","))),
        use_cache=not no_cache,
        save=not no_save,
        progress=not given["as_json"],
        **given,
    )
    check(request)
    launch(run, procs, request.device, request)


def run(request: Request) -> None:
    """What each process does; the first one reports."""
    found: list[Measured] = []
    for measured in measure(request):
        if current().is_first:
            report(request, measured, is_first=not found or found[-1].snapshot is not measured.snapshot)
        found.append(measured)
    if current().is_first and len(request.networks) == 2 and not request.as_json:
        halves = (found[: len(found) // 2], found[len(found) // 2 :])
        results = ([measured.result for measured in half] for half in halves)
        click.echo(comparison(*results, names=tuple(short_name(half[0]) for half in halves)))


def report(request: Request, measured: Measured, is_first: bool) -> None:
    """Print a result, and keep it beside the snapshot."""
    snapshot, result = measured.snapshot, measured.result
    if is_first and not request.as_json:
        what = request.images if snapshot is None else f"{snapshot.path.name}: {snapshot.kimg:g} kimg"
        click.echo(f"{what}, real images from {result['data']}")
    click.echo(registry.to_json(result) if request.as_json else table(result))
    if request.save and snapshot is not None:
        registry.append_result(make_dir(snapshot.path.parent), result)


def short_name(measured: Measured) -> str:
    """A network in the head of a table: its run's number or name, and its kimg."""
    path: Path = measured.snapshot.path
    return f"{path.absolute().parent.name.split('-')[0]}/{round(measured.snapshot.kimg)}"


if __name__ == "__main__":
    main()
