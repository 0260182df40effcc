"""How fast images are measured: extraction, generation, a whole FID, and the distances between features.

Networks have random weights, which take as long as trained ones; nothing is downloaded. Statistics of real images,
which are kept on disk, are not part of the FID run.
"""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import torch

from benchmarks.choices import EXTRACTORS
from benchmarks.harness.run import Findings, Run
from benchmarks.harness.series import Series
from benchmarks.harness.turns import seconds_of
from benchmarks.subjects import resolved
from metrics import neighbors as nearest
from metrics.context import MetricContext, network_context
from metrics.extractors import Extractor, Extractors
from metrics.extractors.fidelity import RESIZE, load_library
from metrics.extractors.random_features import random_features
from metrics.features import chunks, features_of, generated_images, image_batches, real_features
from metrics.frechet import frechet_distance
from metrics.moments import Moments, moments_of
from metrics.registry import evaluate
from torch_utils.distributed import World
from training.config import RunConfig
from training.data.dataset import ImageDataset
from training.networks.generator import Generator, set_memory_format
from training.sampling import Model

FRECHET_WIDTH, NEIGHBORS_WIDTH = 2048, 4096
FAMILIES = dict(zip(EXTRACTORS, ("fid{}_full", "rfd{}_full"), strict=True))
EXTRACTION, GENERATION, WHOLE, FRECHET, NEIGHBORS = (
    "extraction", "generation", "generation to distance", "Fréchet distance", "neighbours"
)  # fmt: skip
RATES = (EXTRACTION, GENERATION, WHOLE)


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
            if isinstance(extractor.network, torch.nn.Module):
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


def make_context(config: RunConfig, images: int, device: torch.device) -> MetricContext:
    model = Model(Generator(config.generator), config, device)
    set_memory_format(model.G, channels_last=device.type == "cpu")
    return network_context(
        model,
        None,
        cast(ImageDataset, NoiseImages(images, config.generator.img_resolution)),  # all that is looked at of one
        batch_size=config.schedule.batch_size,
        extractors=UntrainedExtractors(),
        use_cache=False,
        world=World(device=device),
    )


class TimedMetrics:
    """The parts of measuring a network, and the distances between features."""

    def __init__(self, context: MetricContext, extractor: str, images: int, neighbours: int):
        self.context, self.extractor, self.images = context, extractor, images
        self.device = context.device
        self.network = context.extractors.get(extractor, context.device)
        self.chunks = chunks(images, context.batch_size, context.world)
        real_features(context, extractor, None)
        self.parts: dict[str, Callable[[], object]] = {
            EXTRACTION: self._extract,
            GENERATION: self._generate,
            WHOLE: self._measure,
            FRECHET: frechet_work(),
            NEIGHBORS: neighbors_work(neighbours, context.device),
        }

    def seconds(self, part: str) -> float:
        return seconds_of(self.parts[part], self.device)

    def _extract(self) -> None:
        every = np.arange(self.images)
        for _ in features_of(image_batches(self.context, self.context.dataset, every, self.chunks), self.network):
            pass

    def _generate(self) -> None:
        for _ in generated_images(self.context, self.chunks):
            pass

    def _measure(self) -> None:
        """All but what concerns real images alone, which the context has seen; what it keeps is thrown away."""
        fresh = replace(self.context, _cache=dict(self.context._cache))
        evaluate(FAMILIES[self.extractor].format(self.images), fresh)


def frechet_work(width: int = FRECHET_WIDTH) -> Callable[[], float]:
    """A Fréchet distance of features of full rank, with a spectrum that falls by 10^6."""
    a, b = (_moments(seed, width) for seed in (1, 2))
    return lambda: frechet_distance(a, b)


def _moments(seed: int, width: int) -> Moments:
    draw = torch.Generator().manual_seed(seed)
    return moments_of(torch.randn(2 * width, width, generator=draw) * torch.logspace(0, -3, width))


def neighbors_work(count: int, device: torch.device, width: int = NEIGHBORS_WIDTH) -> Callable[[], object]:
    """Precision, recall, density and coverage of `count` real and as many generated features."""
    draw = torch.Generator().manual_seed(1)
    real, fake = (torch.randn(count, width, generator=draw).to(device) for _ in range(2))
    return lambda: nearest.agreement(real, fake, 3)


def measure(run: Run, config: RunConfig, extractor: str, images: int, neighbours: int) -> Findings:
    """Images per second of what goes image by image, seconds of the distances."""
    with run.progress.one_more("making networks and features"):
        subject = TimedMetrics(make_context(config, images, run.device), extractor, images, neighbours)
    samples = run.take_turns({extractor: subject}, warmup=1)[extractor]
    rates = {what: Series.of("images/s", [images / spent for spent in samples[what]]) for what in RATES}
    rates |= {what: Series.of("s", samples[what]) for what in (FRECHET, NEIGHBORS)}
    facts = {"neighbours_mib": 3 * nearest.BLOCK_BYTES / 2**20}
    return Findings({extractor: rates}, facts=facts, lines=[
        f"Fréchet distance of {FRECHET_WIDTH} features; neighbours of {neighbours} x {neighbours} images, "
        f"{NEIGHBORS_WIDTH} features, with at most {facts['neighbours_mib']:.0f} MiB beside the features"
    ])  # fmt: skip


def answer(
    run: Run, res: int, method: str, cfg: str, extractor: str, images: int, batch: int, neighbours: int
) -> Findings:
    """What the command of this name does, and finds."""
    config = resolved(method, cfg, res, batch, run.device.type)
    run.begin()
    return measure(run, config, extractor, images, neighbours)
