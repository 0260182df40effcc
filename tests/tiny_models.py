"""Untrained models and snapshot files, made and run in milliseconds."""

from pathlib import Path

import torch

from tests.training.saved import save_snapshot
from tests.training.small import ENCODING, INDOOR, discriminator_config, generator_config, run_config, seeded
from training.config import RunConfig
from training.networks.discriminator import Discriminator
from training.networks.generator import Generator
from training.runs.snapshot import snapshot_name
from training.sampling import Model


def tiny_config(
    method: str = "spatialgan",
    *,
    resolution: int = 16,
    channels: int = 3,
    classes: int = 0,
    sampler: str = "paper",
    counts: tuple[int, int, int] = (1, 2, 4),
    w_avg_beta: float | None = 0.995,
) -> RunConfig:
    """A run of `resolution` pixels, at most 8 feature channels, z and w of 8."""
    shape = {"img_resolution": resolution, "img_channels": channels, "c_dim": classes}
    encoding = None if method == "stylegan2" else {**ENCODING, "counts": counts}
    if method == "spatialgan-indoor":
        encoding, sampler = INDOOR, "multi-object"
    mapping = {"num_layers": 2, "w_avg_beta": w_avg_beta}
    return run_config(
        method=method,
        generator=generator_config(**shape, encoding=encoding, mapping=mapping),
        discriminator=discriminator_config(**shape),
        sampler={"kind": sampler},
    )


def tiny_generator(config: RunConfig) -> Generator:
    """With visible noise and a mean style, which training would have brought. The same on every call."""
    generator = seeded(lambda: Generator(config.generator))
    for name, value in generator.named_parameters():
        if name.endswith("noise_strength"):
            value.data.fill_(0.3)
    if config.generator.mapping.w_avg_beta is not None:
        generator.mapping.w_avg.copy_(torch.linspace(-1, 1, config.generator.w_dim))
    return generator


def tiny_model(method: str = "spatialgan", **options) -> Model:
    """A Model on the CPU; options as for tiny_config."""
    config = tiny_config(method, **options)
    return Model(tiny_generator(config), config, "cpu", kimg=1.0)


def save_tiny_snapshot(run_dir: Path, method: str = "spatialgan", kimg: float = 1.0, **options) -> Path:
    """Write a snapshot with the generator of tiny_model into `run_dir`; returns its path."""
    config = tiny_config(method, **options)
    generator, discriminator = tiny_generator(config), seeded(lambda: Discriminator(config.discriminator))
    path = run_dir / snapshot_name(kimg)
    save_snapshot(path, config, kimg, {"G": generator, "G_ema": generator, "D": discriminator})
    return path


class NoData:
    """What a result says of the data set; the pictures of this metric are all generated."""

    name, mirror = "none", False

    def content_hash(self):
        return "0"

    def __len__(self):
        return 0
