"""How fast images are measured: extraction, generation, a whole FID, and the distances between features.

    python -m benchmarks.metrics --res 256 --images 64 --batch 16 --device cpu --json results.json

Networks have random weights, which take as long as trained ones; nothing is downloaded. Statistics of real images,
which are kept on disk, are not part of the FID run.
"""

import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from benchmarks.train_step import machine, resolved
from dnnlib.cli import Command
from dnnlib.files import make_dir, write_json
from metrics import neighbours
from metrics.context import MetricContext
from metrics.extractors import Extractor, Extractors
from metrics.extractors.fidelity import RESIZE, load_library
from metrics.extractors.random_features import random_features
from metrics.features import chunks, features_of, generated_images, real_batches, real_features
from metrics.frechet import frechet_distance
from metrics.moments import Moments, moments_of
from metrics.registry import evaluate
from torch_utils.devices import choose_device
from torch_utils.distributed import World
from training.networks.generator import Generator, set_memory_format
from training.sampling import Model

REPEATS = 3  # of the distances; their median counts
FRECHET_WIDTH, NEIGHBOURS_WIDTH = 2048, 4096
FAMILIES = {"inception": "fid{}_full", "random": "rfd{}_full"}


class NoiseImages:
    """In the place of a data set: `count` RGB images of noise, in memory."""

    name, mirror = "noise", False

    def __init__(self, count: int, side: int):
        self._pixels = np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, None]:
        return self._pixels[index], None

    def content_hash(self) -> str:
        return "noise"


class UntrainedExtractors(Extractors):
    """Extractors without weights from anywhere."""

    def get(self, name: str, device: torch.device) -> Extractor:
        if (name, device) not in self._made:
            extractor = random_features() if name == "random" else untrained_inception()
            extractor.network.to(device)
            self._made[name, device] = extractor
        return self._made[name, device]


def untrained_inception() -> Extractor:
    """InceptionV3 with the weights that it begins with."""
    kind = load_library("torch_fidelity.feature_extractor_inceptionv3").FeatureExtractorInceptionV3
    outputs, nothing = ("2048", "logits_unbiased"), io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    untrained = type("Untrained", (kind,), {"load_state_dict": lambda self, state: None})
    network = untrained("inception-v3-compat", list(outputs), feature_extractor_weights_path=nothing)
    return Extractor("inception", network, outputs, "untrained", RESIZE.format(299))


def make_context(res: int, method: str, cfg: str, images: int, batch: int, device: torch.device) -> MetricContext:
    config = resolved(method, cfg, res, batch, device.type)
    model = Model(Generator(config.generator), config, device)
    set_memory_format(model.G, channels_last=device.type == "cpu")
    return MetricContext(
        model,
        None,
        NoiseImages(images, res),
        batch_size=batch,
        extractors=UntrainedExtractors(),
        use_cache=False,
        world=World(device=device),
    )


def measure(context: MetricContext, extractor: str, images: int) -> dict[str, float]:
    """{"extraction", "generation", "run"} in images per second, and "run_seconds"."""
    network = context.extractors.get(extractor, context.device)
    parts = chunks(images, context.batch_size, context.world)
    everything = np.arange(images)

    def extract() -> None:
        for _ in features_of(real_batches(context, context.dataset, everything, parts), network):
            pass

    def generate() -> None:
        for _ in generated_images(context, parts):
            pass

    real_features(context, extractor, None)
    seconds = {"extraction": timed(extract, context.device), "generation": timed(generate, context.device)}
    name = FAMILIES[extractor].format(images)
    seconds["run"] = timed(lambda: evaluate(name, context), context.device, warm_up=False)
    return {what: images / spent for what, spent in seconds.items()} | {"run_seconds": seconds["run"]}


def timed(work: Callable[[], Any], device: torch.device, warm_up: bool = True) -> float:
    """Seconds of a call, after one that is not counted on a GPU (there the first one also loads kernels)."""
    if device.type == "cuda" and warm_up:
        work()
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def frechet_seconds(width: int = FRECHET_WIDTH) -> float:
    """Median time of a Fréchet distance of features of full rank, with a spectrum that falls by 10^6."""
    a, b = (_moments(seed, width) for seed in (1, 2))
    return statistics.median(timed(lambda: frechet_distance(a, b), torch.device("cpu")) for _ in range(REPEATS))


def _moments(seed: int, width: int) -> Moments:
    draw = torch.Generator().manual_seed(seed)
    return moments_of(torch.randn(2 * width, width, generator=draw) * torch.logspace(0, -3, width))


def neighbours_seconds(count: int, device: torch.device, width: int = NEIGHBOURS_WIDTH) -> float:
    """Time of precision, recall, density and coverage of `count` real and as many generated features."""
    draw = torch.Generator().manual_seed(1)
    real, fake = (torch.randn(count, width, generator=draw).to(device) for _ in range(2))
    return timed(lambda: neighbours.agreement(real, fake, 3), device)


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    rates, settings = report["images_per_second"], report["settings"]
    rows = [f"{what:12} {rates[what]:10.2f} images/s" for what in ("extraction", "generation", "run")]
    rows.append(f"{'':12} {report['run_seconds']:10.2f} s for {settings['images']} images and their Fréchet distance")
    rows.append(f"Fréchet distance of {FRECHET_WIDTH} features: {report['frechet_seconds']:.2f} s")
    rows.append(
        f"neighbours of {settings['neighbours']} x {settings['neighbours']} images, {NEIGHBOURS_WIDTH} features: "
        f"{report['neighbours_seconds']:.2f} s, at most {report['neighbours_mb']:.0f} MiB beside the features"
    )
    return "\n".join(rows)


@click.command(cls=Command)
@click.option("--res", type=int, default=256, show_default=True, help="Side of the images in pixels.")
@click.option("--method", default="spatialgan", show_default=True, help="The method of the generator.")
@click.option("--cfg", default="paper256", show_default=True, help="Its base configuration.")
@click.option("--extractor", type=click.Choice(list(FAMILIES)), default="inception", show_default=True,
              help="What looks at the images.")
@click.option("--images", type=click.IntRange(min=2), default=64, show_default=True, help="How many are measured.")
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Images a pass.")
@click.option("--neighbours", type=click.IntRange(min=5), default=2000, show_default=True,
              help="Real and generated images whose neighbours are looked for.")
@click.option("--device", default="auto", show_default=True, help="auto, cuda or cpu.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads.  [default: PyTorch's choice]")
@click.option("--json", "json_file", metavar="FILE", help="Write the figures here, too.")
def main(res, method, cfg, extractor, images, batch, neighbours, device, threads, json_file):
    """Images per second of extraction, generation and a whole FID; seconds of the distances between features."""
    if json_file is not None:
        make_dir(Path(json_file).parent)
    if threads is not None:
        torch.set_num_threads(threads)
    device = choose_device(device)
    settings = {"res": res, "method": method, "cfg": cfg, "extractor": extractor, "images": images, "batch": batch}
    settings |= {"neighbours": neighbours, "device": device.type}
    about = machine(device)
    click.echo("  ".join(f"{key} {value}" for key, value in (settings | about).items() if value is not None))
    report = run(settings, device)
    click.echo(table(report))
    if json_file is not None:
        write_json(json_file, report | {"machine": about})


def run(settings: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """All measurements of `settings`."""
    place = {key: settings[key] for key in ("res", "method", "cfg", "images", "batch")}
    rates = measure(make_context(**place, device=device), settings["extractor"], settings["images"])
    return {
        "run_seconds": rates.pop("run_seconds"),
        "images_per_second": rates,
        "frechet_seconds": frechet_seconds(),
        "neighbours_seconds": neighbours_seconds(settings["neighbours"], device),
        "neighbours_mb": 3 * neighbours.BLOCK_BYTES / 2**20,
        "settings": settings,
    }


if __name__ == "__main__":
    main()
