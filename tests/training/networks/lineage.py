"""Runs of every backbone at the size of tests/training/small.py."""

from tests.training.small import CHANNELS, ENCODING, make_layout, run_config, seeded
from training.config import RunConfig
from training.networks import backbones

PLAIN = {"mapping": {"w_avg_beta": None, "num_layers": 2}}


def lineage_config(backbone: str, encoding: dict | None = ENCODING, c_dim: int = 0, **changes) -> RunConfig:
    """Of 32x32 images, or `resolution`; `networks`: of both networks. Alignment where there is an encoding."""
    shape = {"backbone": backbone, "img_resolution": changes.pop("resolution", 32), "c_dim": c_dim}
    networks = {**CHANNELS, **changes.pop("networks", {})}
    generator = {**shape, **PLAIN, "z_dim": 8, "w_dim": 8, "encoding": encoding, "synthesis": networks}
    discriminator = {**shape, **networks, "mbstd_group_size": 2}
    loss = {"style_mixing_prob": 0, "pl_weight": 0, **changes.pop("loss", {})}
    align = {"weight": 0 if encoding is None else 1, **changes.pop("align", {})}
    generator |= changes.pop("generator", {})
    return run_config(generator=generator, discriminator=discriminator, loss=loss, align=align, **changes)


def generator(of: RunConfig):
    return seeded(lambda: backbones.make_generator(of.generator))


def discriminator(of: RunConfig):
    return seeded(lambda: backbones.make_discriminator(of.discriminator), 1)


def layout_for(of: RunConfig, count: int = 2):
    """Some layout, where the generator takes one."""
    return None if of.generator.encoding is None else make_layout(count)
