"""Networks small enough to train a step of in milliseconds, the same on every call."""

import pickle
import random
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from torch_utils.randomness import RandomStreams
from training.config import DiscriminatorConfig, GeneratorConfig, RunConfig
from training.inputs import Batch, draw_inputs
from training.layouts.layout import Layout
from training.losses.phases import Networks
from training.networks import backbones
from training.networks.discriminator import Discriminator
from training.networks.generator import Generator

RESOLUTION = 32  # the smallest at which the discriminator has features of all three levels
CHANNELS = {"channel_base": 256, "channel_max": 8}
ENCODING = {"hidden_channels": 8}

T = TypeVar("T")


def seeded(make: Callable[[], T], seed: int = 0) -> T:
    """Whatever `make` initialises at random, from `seed`, leaving the global stream as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def generator_config(**changes) -> GeneratorConfig:
    """With spatial encoding at 4, 8, 16, unless encoding=None."""
    given = {"z_dim": 8, "w_dim": 8, "img_resolution": RESOLUTION, "mapping": {"num_layers": 2}, "encoding": ENCODING}
    synthesis = {**CHANNELS, **changes.pop("synthesis", {})}
    return GeneratorConfig(**{**given, "synthesis": synthesis, **changes})


def discriminator_config(**changes) -> DiscriminatorConfig:
    return DiscriminatorConfig(**{"img_resolution": RESOLUTION, **CHANNELS, **changes})


def run_config(**changes) -> RunConfig:
    """A run of 4 images a pass, without style mixing."""
    given = {
        "name": "small",
        "method": "spatialgan",
        "data": {"path": "none"},
        "generator": generator_config(),
        "discriminator": discriminator_config(),
        "loss": {"style_mixing_prob": 0},
        "schedule": {"batch_size": 4},
    }
    return RunConfig(**{**given, **changes})


def make_generator(seed: int = 0, noise_strength: float = 0.3, **changes) -> Generator:
    """With visible noise; `changes` as for generator_config."""
    net = seeded(lambda: Generator(generator_config(**changes)), seed)
    for name, value in net.named_parameters():
        if name.endswith("noise_strength"):
            value.data.fill_(noise_strength)
    return net


def make_discriminator(seed: int = 1, **changes) -> Discriminator:
    return seeded(lambda: Discriminator(discriminator_config(**changes)), seed)


def make_networks(config: RunConfig) -> Networks:
    G = seeded(lambda: backbones.make_generator(config.generator))
    D = seeded(lambda: backbones.make_discriminator(config.discriminator), 1)
    return Networks(G, D, torch.zeros([]))


def real_images(count: int = 4, seed: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand([count, 3, RESOLUTION, RESOLUTION], generator=generator) * 2 - 1


def make_batch(networks: Networks, config: RunConfig, count: int = 4, seed: int = 3) -> Batch:
    labels = torch.zeros([count, 0])
    return Batch(draw_inputs(networks.G, config, RandomStreams(seed, "cpu"), labels), real_images(count), labels)


INDOOR = {**ENCODING, "layer": "indoor", "counts": [3], "max_resolution": None}  # scenes of three objects
OBJECTS = {
    "generator": generator_config(encoding=INDOOR),
    "sampler": {"kind": "multi-object", "spread": [0.1, 0.5]},
    "align": {"match": "best"},
}  # changes to run_config


def make_layout(count: int = 4, counts: tuple[int, ...] = (1, 2, 4), seed: int = 2) -> Layout:
    """Centres within [-0.8, 0.8], spreads within [0.2, 0.8]."""
    generator = torch.Generator().manual_seed(seed)
    centers = tuple(torch.rand([count, n, 2], generator=generator) * 1.6 - 0.8 for n in counts)
    return Layout(centers, tuple(torch.rand([count, n], generator=generator) * 0.6 + 0.2 for n in counts))


def global_streams() -> bytes:
    """State of every global random stream, to see that nothing moves them."""
    return pickle.dumps((random.getstate(), np.random.get_state(), torch.get_rng_state().tolist()))
