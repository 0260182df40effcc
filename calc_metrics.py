"""Measure a trained network.

    python calc_metrics.py --network=runs/00000-animals --metrics=di,w
    python calc_metrics.py --network=network-snapshot-000125.safetensors --metrics=centroid_co_move --json
"""

from typing import Any, get_args

import click

from dnnlib.cli import Command
from dnnlib.errors import UserError
from dnnlib.files import make_dir
from metrics import registry
from metrics.detectors.choice import DetectorName
from torch_utils.allocator import keep_memory
from training.dataset import ImageDataset
from training.generator import set_memory_format
from training.run_data import open_data
from training.sampling import Model
from training.snapshot import Snapshot, open_snapshot


def _print_list(ctx: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        for name, description in registry.known().items():
            click.echo(f"{name:18} {description}")
        ctx.exit()


@click.command(cls=Command)
@click.option("--network", metavar="PATH", help="A snapshot file, or a run directory (its newest snapshot).")
@click.option("--metrics", "names", default="di,w", show_default=True, metavar="NAMES",
              help="Which ones, separated by commas; --list names them all.")
@click.option("--data", metavar="PATH", help="Real images, zip or folder.  [default: those it was trained on]")
@click.option("--mirror/--no-mirror", default=None, help="Real images flipped as well.  [default: as in training]")
@click.option("--num", type=click.IntRange(min=1), metavar="N",
              help="Draws (di, w), latents (centroid_co_move) or samples (co_move) instead of the usual number.")
@click.option("--batch", type=click.IntRange(min=1), default=64, show_default=True,
              help="Pictures per pass; changes speed and memory, not the values.")
@click.option("--device", default="auto", show_default=True, help="auto, cuda or cpu.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0),
              help="Starts the stream that images, latents and layouts are drawn from.")
@click.option("--detector", type=click.Choice(get_args(DetectorName)), default="auto", show_default=True,
              help="What finds objects for co_move; auto: by colour in toy and composed scenes, else Mask R-CNN.")
@click.option("--detector-weights", metavar="FILE", help="Weights of Mask R-CNN.  [default: in torchvision's cache]")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per metric, nothing else.")
@click.option("--no-save", is_flag=True, help="Leave the metric-NAME.jsonl files beside the snapshot alone.")
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_print_list,
              help="Say which metrics there are.")
def main(network, names, data, mirror, num, seed, batch, device, detector, detector_weights, as_json, no_save):
    """Measure a trained network, print the numbers and keep them in metric-NAME.jsonl beside the snapshot."""
    if network is None:
        raise UserError("--network is needed: a network-snapshot-*.safetensors or a run directory")
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",")))
    registry.check(wanted)
    snapshot = open_snapshot(network)
    registry.check(wanted, snapshot.config)
    run_dir = snapshot.path.parent
    if not no_save:
        make_dir(run_dir)
    dataset = open_data(snapshot.config, data, mirror)
    settings = {"seed": seed, "num": num, "batch_size": batch, "progress": not as_json}
    detection = {"detector": detector, "detector_weights": detector_weights}
    context = make_context(snapshot, dataset, device, **settings, **detection)
    if not as_json:
        click.echo(f"{snapshot.path.name}: {snapshot.kimg:g} kimg, real images from {dataset.name}")
    for name in wanted:
        result = registry.evaluate(name, context) | {"snapshot": snapshot.path.name}
        click.echo(registry.to_json(result) if as_json else table(result))
        if not no_save:
            registry.append_result(run_dir, result)


def make_context(snapshot: Snapshot, dataset: ImageDataset, device: str, **settings) -> registry.MetricContext:
    """The averaged generator and D of a snapshot, on `device`."""
    model = Model.load(snapshot.path, device)
    on_cpu = model.device.type == "cpu"
    if on_cpu:
        keep_memory()
    D = snapshot.discriminator().to(model.device)
    set_memory_format(D, channels_last=on_cpu)
    return registry.MetricContext(model, D, dataset, **settings)


def table(result: dict[str, Any]) -> str:
    """A result for people: one quantity a line."""
    unit = next(key.removeprefix("num_") for key in result if key.startswith("num_"))
    rows = [f"{result['metric']} ({result[f'num_{unit}']} {unit}, {result['seconds']:.1f} s)"]
    rows += [f"  {key:30} {value:10.4g}" for key, value in result["results"].items()]
    return "\n".join(rows)


if __name__ == "__main__":
    main()
