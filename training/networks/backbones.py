"""Which networks a configuration asks for."""

from torch import nn

from training.config import DiscriminatorConfig, GeneratorConfig
from training.networks.discriminator import Discriminator
from training.networks.generator import Generator
from training.networks.sndcgan import DCGANGenerator, SNDiscriminator


def make_generator(config: GeneratorConfig) -> nn.Module:
    """With fresh weights from the global stream."""
    return {"stylegan2": Generator, "sndcgan": DCGANGenerator}[config.backbone](config)


def make_discriminator(config: DiscriminatorConfig) -> nn.Module:
    """With fresh weights from the global stream."""
    return {"stylegan2": Discriminator, "sndcgan": SNDiscriminator}[config.backbone](config)
