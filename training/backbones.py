"""Which networks a configuration asks for."""

from torch import nn

from training.config import DiscriminatorConfig, GeneratorConfig
from training.discriminator import Discriminator
from training.generator import Generator
from training.sndcgan import DCGANGenerator, SNDiscriminator


def make_generator(config: GeneratorConfig) -> nn.Module:
    """With fresh weights from the global stream."""
    return {"stylegan2": Generator, "sndcgan": DCGANGenerator}[config.backbone](config)


def make_discriminator(config: DiscriminatorConfig) -> nn.Module:
    """With fresh weights from the global stream."""
    return {"stylegan2": Discriminator, "sndcgan": SNDiscriminator}[config.backbone](config)
