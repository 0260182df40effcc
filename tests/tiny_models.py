"""Untrained models, small enough to make and run in milliseconds."""

from pathlib import Path

import torch

from training.config import (
    DataConfig,
    DiscriminatorConfig,
    EncodingConfig,
    GeneratorConfig,
    MappingConfig,
    RunConfig,
    SamplerConfig,
    SynthesisConfig,
)
from training.discriminator import Discriminator
from training.generator import Generator
from training.sampling import Model
from training.snapshot import save_snapshot, snapshot_name

SMALL = {"channel_base": 8 * 32, "channel_max": 8}


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
    """A run of `resolution` pixels, 8 feature channels, z and w of 16."""
    shape = {"img_resolution": resolution, "img_channels": channels, "c_dim": classes}
    encoding = None if method == "stylegan2" else EncodingConfig(counts=counts, hidden_channels=8)
    generator = GeneratorConfig(
        **shape,
        z_dim=16,
        w_dim=16,
        mapping=MappingConfig(num_layers=2, w_avg_beta=w_avg_beta),
        synthesis=SynthesisConfig(**SMALL),
        encoding=encoding,
    )
    return RunConfig(
        name="tiny",
        method=method,
        data=DataConfig(path="x"),
        generator=generator,
        discriminator=DiscriminatorConfig(**shape, **SMALL, mapping=MappingConfig(num_layers=2, w_avg_beta=None)),
        sampler=SamplerConfig(kind=sampler),
    )


def tiny_generator(config: RunConfig) -> Generator:
    """With visible noise and a mean style, which training would have brought. The same on every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(config.generator)
        for name, value in generator.named_parameters():
            if name.endswith("noise_strength"):
                value.data.fill_(0.3)
        if config.generator.mapping.w_avg_beta is not None:
            generator.mapping.w_avg.normal_()
    return generator


def tiny_model(method: str = "spatialgan", **options) -> Model:
    """A Model on the CPU; options as for tiny_config."""
    config = tiny_config(method, **options)
    return Model(tiny_generator(config), config, "cpu", kimg=1.0)


def save_tiny_snapshot(run_dir: Path, method: str = "spatialgan", kimg: float = 1.0, **options) -> Path:
    """Write a snapshot of tiny_model into `run_dir`; returns its path."""
    config = tiny_config(method, **options)
    generator = tiny_generator(config)
    path = run_dir / snapshot_name(kimg)
    networks = {"G": generator, "G_ema": generator, "D": Discriminator(config.discriminator)}
    save_snapshot(path, config, kimg, networks)
    return path
