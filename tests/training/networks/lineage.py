"""Runs of every backbone at the size of tests/training/small.py."""

import torch

from tests.training.small import CHANNELS, ENCODING, make_layout, run_config, seeded
from training.config import RunConfig
from training.networks import backbones
from training.presets.choices import check_choices

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


def noise(*shape: int, seed: int = 3) -> torch.Tensor:
    """Normal numbers, the same for the same seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def awake(network: torch.nn.Module, amount: float = 0.3) -> torch.nn.Module:
    """With weights that are not the zeros some layers begin with: normal numbers times `amount` are added to all."""
    draw = torch.Generator().manual_seed(9)
    for parameter in network.parameters():
        parameter.data += amount * torch.randn(parameter.shape, generator=draw)
    return network


CONDITIONED = {
    "spade": {"condition": "label-map", "class_names": ("background", "ball", "cone")},
    "stackgan": {"condition": "text", "class_names": ("", "a", "ball", "left", "of")},
}
PLAYERS = ("generator", "discriminator")
WORDS = 6  # of the longest caption


def conditioned_config(backbone: str, encoding: dict | None = ENCODING, resolution: int = 32, **changes) -> RunConfig:
    """Of a backbone that needs a condition."""
    c_values = len(CONDITIONED[backbone]["class_names"])
    growth = {"start_resolution": resolution // 2, "fade_kimg": 0} if backbone == "stackgan" else None
    of = lineage_config(
        backbone, encoding, WORDS if backbone == "stackgan" else resolution**2, resolution=resolution,
        data={"path": "none", "conditional": True, **CONDITIONED[backbone]},
        growth=growth, **changes,
    )  # fmt: skip
    networks = {name: getattr(of, name).model_copy(update={"c_values": c_values}) for name in PLAYERS}
    return check_choices(of.model_copy(update=networks))


def conditions(of: RunConfig, count: int = 2, seed: int = 0) -> torch.Tensor:
    """Some rows [count, c_dim] of indices."""
    shape = [count, of.generator.c_dim]
    return torch.randint(of.generator.c_values, shape, generator=torch.Generator().manual_seed(seed)).float()
