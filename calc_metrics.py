"""Measure a trained network, two of them side by side, or a folder of images.

\b
    python calc_metrics.py --network=runs/00000-animals --metrics=fid50k_full,pr50k3_full
    python calc_metrics.py --network=runs/00000-animals/125 --metrics=di,w --json
    python calc_metrics.py --compare runs/00000-animals/100 runs/00000-animals/125 --metrics=fid5k_full
    python calc_metrics.py --images=out/ --data=data/animals32.zip --metrics=fid,kid,pr3,is

The numbers are kept in metric-NAME.jsonl beside the snapshot. The number in a name may be any: fid5k_full, fid500.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from dnnlib.cli import PATH, SEED, Command, Int, Number, option, plugin_option
from dnnlib.errors import UserError
from dnnlib.files import make_dir
from dnnlib.words import first_of

if TYPE_CHECKING:  # torch takes seconds to import: what needs it is imported where it is called
    from editing.latent.manipulation import Manipulate
    from metrics.runs import Measured, MetricsRequest

DETECTORS = ("auto", "color", "mask-rcnn")
WHAT, HOW, PICTURES, OUTPUT, HARDWARE = "What to measure", "How", "Generated pictures", "Output", "Hardware"
DEFAULT_METRICS = {"network": "di,w", "images": "fid"}


def _print_list(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from metrics import registry

        for name, description in registry.known().items():
            click.echo(f"{name:18} {description}")
        ctx.exit()


@click.command(cls=Command, help=__doc__)
@option("--network", group=WHAT, metavar="PATH", type=PATH,
        help="A snapshot or checkpoint file, a run directory (its newest snapshot), or RUN/NUMBER (that at NUMBER "
             "kimg).")
@option("--compare", group=WHAT, nargs=2, metavar="A B", type=PATH,
        help="Two networks instead, side by side in a table.")
@option("--images", group=WHAT, metavar="PATH", type=PATH,
        help="Images in a folder or zip instead of a network's, against --data.")
@option("--data", group=WHAT, metavar="PATH", type=PATH, show_default="those it was trained on",
        help="Real images, zip or folder.")
@option("--mirror/--no-mirror", group=WHAT, default=None, show_default="as in training",
        help="Real images flipped as well.")
@option("--metrics", "names", group=WHAT, metavar="NAMES", show_default="di,w; for --images: fid",
        help="Which ones, separated by commas; --list names them all.")
@option("--list", group=WHAT, is_flag=True, is_eager=True, expose_value=False, callback=_print_list,
        help="Say which metrics there are, and which values are good.")
@option("--num", group=HOW, type=Int(1, 10_000_000), metavar="N", show_default="what --list says",
        help="Draws (di, w) or latents (co-move); a metric of images has its number in its name, as fid5k_full.")
@option("--seed", group=HOW, default=0, show_default=True, type=SEED,
        help="Starts the stream that images, latents and layouts are drawn from.")
@option("--weights", group=HOW, multiple=True, metavar="[NAME=]FILE",
        help="Weights of an extractor (inception, vgg16, lpips, dinov2) in place of the published ones, which are "
             "downloaded.")
@option("--detector", group=HOW, type=click.Choice(DETECTORS), default="auto", show_default=True,
        help="What finds objects for co_move; auto: by colour in toy and composed scenes, else Mask R-CNN.")
@option("--detector-weights", group=HOW, metavar="FILE", type=PATH, show_default="in torchvision's cache",
        help="Weights of Mask R-CNN.")
@option("--method", group=HOW, metavar="FILE|NAME", type=PATH,
        help="For mds: a file of edit.py directions, or what is fitted now: sgf, sgf-fast, "
             "interfacegan, interfacegan-conditional, ganspace, sefa or optimization.")
@option("--condition", "conditions", group=HOW, metavar="WHAT", multiple=True,
        show_default="scene: and the kind of toy scenes in the data's name",
        help="For mds: what scores attributes (docs/directions.md). Can be repeated.")
@option("--attributes", group=HOW, metavar="NAME,...", show_default="all",
        help="For mds: those that are edited in turn.")
@option("--no-cache", group=HOW, is_flag=True, help="Compute the statistics of real images anew, and keep none.")
@option("--trunc", group=PICTURES, metavar="PSI", type=Number(-10, 10), default=1.0, show_default=True,
        help="Truncation of the generated images; 1 is off.")
@option("--layout", group=PICTURES, metavar="FILE.json", type=PATH,
        help="Layouts for the generated images: one for all, or taken in turn.")
@option("--json", "as_json", group=OUTPUT, is_flag=True, help="Print one line of JSON per metric, nothing else.")
@option("--no-save", group=OUTPUT, is_flag=True, help="Leave the metric-NAME.jsonl files beside the snapshot alone.")
@option("--gpus", "--procs", "procs", group=HARDWARE, type=Int(1, 1024), default=1, show_default=True, metavar="N",
        help="Processes that share the work: one a GPU, or several on a CPU.")
@option("--batch", group=HARDWARE, type=Int(1, 2**16), default=64, show_default=True,
        help="Pictures per pass; changes speed and memory, not the values.")
@option("--device", group=HARDWARE, default="auto", show_default=True, help="auto, cuda or cpu.")
@plugin_option(WHAT)
def main(
    network: str | None, compare: tuple[str, str] | None, names: str | None, procs: int, no_cache: bool, no_save: bool,
    method: str | None, conditions: tuple[str, ...], attributes: str | None, **given: Any,
) -> None:  # fmt: skip
    if not (network or compare or given["images"]):
        raise UserError("--network is needed: a network-snapshot-*.safetensors or a run directory")
    if network and compare:
        raise UserError("--compare names both networks; leave --network out")
    from metrics.runs import MetricsRequest, check
    from torch_utils.launch import launch

    names = names or DEFAULT_METRICS["images" if given["images"] else "network"]
    request = MetricsRequest(
        networks=compare or ((network,) if network else ()),
        names=tuple(dict.fromkeys(name.strip() for name in names.split(","))),
        use_cache=not no_cache,
        save=not no_save,
        progress=not given["as_json"],
        manipulation=manipulation(method, conditions, attributes, given["seed"]),
        **given,
    )
    for remark in check(request):
        click.echo(remark, err=True)
    launch(run, procs, request.device, request)


def manipulation(
    method: str | None, conditions: tuple[str, ...], attributes: str | None, seed: int = 0
) -> "Manipulate | None":
    """What the metric mds measures; None without a method. Raises UserError for one that is unknown."""
    if method is None:
        if conditions or attributes:
            raise UserError("--condition and --attributes are of the metric mds; name what it measures with --method")
        return None
    from editing.latent.manipulation import Manipulate

    wanted = tuple(name.strip() for name in attributes.split(",")) if attributes else ()
    return Manipulate(method, conditions, wanted, seed=seed).checked()


def run(request: "MetricsRequest") -> None:
    """What each process does; the first one reports."""
    from metrics.runs import measure
    from metrics.tables import side_by_side
    from torch_utils.distributed import current

    found: list[Measured] = []
    for measured in measure(request):
        if current().is_first:
            report(request, measured, is_first=not found or found[-1].snapshot is not measured.snapshot)
        found.append(measured)
    if current().is_first and len(request.networks) == 2 and not request.as_json:
        first, second = found[: len(found) // 2], found[len(found) // 2 :]
        one, other = ([measured.result for measured in half] for half in (first, second))
        click.echo(side_by_side(one, other, (short_name(first[0]), short_name(second[0]))))


def report(request: "MetricsRequest", measured: "Measured", is_first: bool) -> None:
    """Print a result, and keep it beside the snapshot."""
    from metrics import registry
    from metrics.tables import table

    snapshot, result = measured.snapshot, measured.result
    if is_first and not request.as_json:
        what = request.images if snapshot is None else f"{snapshot.path.name}: {snapshot.kimg:g} kimg"
        click.echo(f"{what}{beside(request.names, result['data'])}")
    direction = {"direction": registry.find(result["metric"]).direction}
    click.echo(registry.to_json(result) if request.as_json else table(result | direction))
    if request.save and snapshot is not None:
        try:
            registry.append_result(make_dir(snapshot.path.parent), result)
        except UserError as error:
            raise UserError(f"{error}; or use --no-save: the value is above") from error


def beside(names: Sequence[str], data: str) -> str:
    """Which real images metrics compare with, and where only some do, which; nothing where none does."""
    from metrics import registry

    comparing = [name for name in names if registry.find(name).reals]
    if not comparing:
        return ""
    return f", real images{'' if len(comparing) == len(names) else f' (of {first_of(comparing)})'} from {data}"


def short_name(measured: "Measured") -> str:
    """A network in the head of a table: its run's number or name, and its kimg."""
    snapshot = measured.snapshot
    assert snapshot is not None, "networks are compared, not files"
    return f"{snapshot.path.absolute().parent.name.split('-')[0]}/{snapshot.kimg:g}"


if __name__ == "__main__":
    main()
