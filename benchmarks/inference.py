"""Pictures a second by batch size, through training.sampling.Model.images, as all tools make them.

    python -m benchmarks.inference --res 256 --device cpu --method stylegan2 --batches 1,4,16
    python -m benchmarks.inference --res 256 --device cpu --method stylegan2 --ops auto --vs-ops reference

The second compares two sets of operators, which take turns. Styles and layouts are made beforehand; in the column "one
style" all pictures of a batch share one, as they do while a centre moves. Weights are random, which takes as long as
trained ones.
"""

import statistics
from pathlib import Path
from typing import Any, get_args

import click
import torch

from benchmarks.train_step import Samples, Timed, heading, machine, peak_of, resolved, take_turns, unsteadiness, warning
from dnnlib.cli import Command
from dnnlib.errors import UserError
from dnnlib.files import make_dir, write_json
from dnnlib.parsing import int_ranges
from torch_utils.devices import choose_device
from training.config import RunConfig
from training.networks.backbones import make_generator
from training.networks.generator import Precision, check_precision, set_memory_format, set_precision
from training.sampling import Model

OWN, ONE = "own styles", "one style"
STYLES = (OWN, ONE)
TRAINING_BATCH = 4  # a configuration has one, though nothing is trained here


class Drawing(Timed):
    """A generator; the parts are batches of each size, in both styles: see part_name."""

    def __init__(self, config: RunConfig, batches: list[int], precision: Precision = "trained"):
        super().__init__(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            generator = make_generator(config.generator)
        set_memory_format(generator, config.hardware.keeps_channels_last(self.device.type))
        set_precision(generator, precision)
        self.model = Model(generator, config, self.device)
        self.parts = {}
        for batch in batches:
            self._add(batch)

    def _add(self, batch: int) -> None:
        seeds = list(range(batch))
        layout = self.model.layout(seeds)
        ws = self.model.styles(seeds, layout=layout)
        how = {"layout": layout, "batch_size": batch}
        self.parts[part_name(OWN, batch)] = lambda: self.model.images(seeds, ws=ws, **how)
        self.parts[part_name(ONE, batch)] = lambda: self.model.images(seeds, ws=ws[:1], **how)


def part_name(style: str, batch: int) -> str:
    return f"{style}, {batch}"


def measure(
    configs: dict[str, RunConfig],
    batches: list[int],
    repeats: int,
    precision: Precision = "trained",
    progress: bool = False,
) -> dict[str, Any]:
    """{"generators": {name: {"images_per_s": rates, "peak_mb"}}, "ratio": rates or None, "unsteadiness"}.

    rates: {"own styles" or "one style": {batch: number}}; medians over `repeats`. ratio: of the first generator's
    images per second to the second's. peak_mb: MiB for the largest batch.
    """
    peaks = {name: peak_of(_largest_batch, config, max(batches), precision) for name, config in configs.items()}
    drawings = {name: Drawing(config, batches, precision) for name, config in configs.items()}
    samples = take_turns(drawings, repeats, progress)
    rates = {name: images_per_s(each, batches) for name, each in samples.items()}
    return {
        "generators": {name: {"images_per_s": rates[name], "peak_mb": round(peaks[name], 1)} for name in configs},
        "ratio": _ratio(*rates.values()) if len(rates) == 2 else None,
        "unsteadiness": max(map(unsteadiness, samples.values())),
    }


def _largest_batch(config: RunConfig, batch: int, precision: Precision) -> torch.device:
    drawing = Drawing(config, [batch], precision)
    for part in drawing.parts:
        drawing.seconds(part)
    return drawing.device


def images_per_s(samples: Samples, batches: list[int]) -> dict[str, dict[str, float]]:
    """{style: {batch: images per second}}."""
    return {
        style: {str(batch): batch / statistics.median(samples[part_name(style, batch)]) for batch in batches}
        for style in STYLES
    }


def _ratio(first: dict[str, dict[str, float]], second: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {style: {batch: rate / second[style][batch] for batch, rate in first[style].items()} for style in STYLES}


def table(report: dict[str, Any]) -> str:
    """The report for people: a line a batch size, two columns a generator."""
    generators, ratio = report["generators"], report["ratio"]
    columns = {name: each["images_per_s"] for name, each in generators.items()} | ({"ratio": ratio} if ratio else {})
    rows = [f"{'images/s':12}" + "".join(f"{name:>28}" for name in columns)]
    rows.append(f"{'batch':12}" + "".join(f"{style:>14}" for style in STYLES) * len(columns))
    batches = list(next(iter(columns.values()))[OWN])
    for batch in batches:
        cells = (f"{column[style][batch]:14.3f}" for column in columns.values() for style in STYLES)
        rows.append(f"{batch:12}" + "".join(cells))
    rows.append(f"{'peak MiB':12}" + "".join(f"{each['peak_mb']:28.0f}" for each in generators.values()))
    return "\n".join([*rows, *warning(report["unsteadiness"])])


def parse_batches(text: str) -> list[int]:
    """'1,4,16' as numbers, each once. Raises UserError on anything else, and on 0."""
    batches = list(dict.fromkeys(int_ranges(text)))
    if min(batches) < 1:
        raise UserError(f"--batches '{text}': a batch has at least one picture")
    return batches


def compared(method: str, kind: str, vs_kind: str | None) -> dict[str, str]:
    """{name: operators} of one generator or two. Raises UserError when they are the same."""
    if vs_kind is None:
        return {method: kind}
    if kind == vs_kind:
        raise UserError(f"--ops and --vs-ops are both {kind}; give two to compare")
    return {f"{method} ({each})": each for each in (kind, vs_kind)}


@click.command(cls=Command)
@click.option("--res", type=int, default=256, show_default=True, help="Side of the images in pixels.")
@click.option("--device", default="auto", show_default=True, help="auto, cuda or cpu.")
@click.option("--method", default="spatialgan", show_default=True, help="The method of the generator.")
@click.option("--cfg", default="paper256", show_default=True, help="Its base configuration.")
@click.option("--batches", default="1,4,16", show_default=True, help="Pictures at a time.")
@click.option("--ops", "kind", default="auto", show_default=True,
              help="The operators: auto, native, pytorch, reference.")
@click.option("--vs-ops", "vs_kind", metavar="NAME", help="Those that they are compared with.")
@click.option("--precision", type=click.Choice(get_args(Precision)), default="trained", show_default=True,
              help="What the network computes in: as it is trained, or all layers in one type.")
@click.option("--json", "json_file", metavar="FILE", help="Write the figures here, too.")
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True,
              help="Rounds that count; their median is reported.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads.  [default: PyTorch's choice]")
def main(res, device, method, cfg, batches, kind, vs_kind, precision, json_file, repeats, threads):
    """Measure how many pictures a second a generator makes, by batch size."""
    sizes, kinds = parse_batches(batches), compared(method, kind, vs_kind)
    if json_file is not None:
        make_dir(Path(json_file).parent)
    if threads is not None:
        torch.set_num_threads(threads)
    where = choose_device(device)
    check_precision(precision, where)
    configs = {name: resolved(method, cfg, res, TRAINING_BATCH, where.type, each) for name, each in kinds.items()}
    about = machine(where)
    settings = {"res": res, "device": where.type, "method": method, "cfg": cfg, "ops": kind, "vs_ops": vs_kind}
    settings |= {"batches": batches, "precision": precision, "repeats": repeats}
    click.echo(heading(settings, about))
    report = measure(configs, sizes, repeats, precision, progress=True)
    click.echo(table(report))
    if json_file is not None:
        write_json(json_file, report | {"settings": settings, "machine": about})


if __name__ == "__main__":
    main()
