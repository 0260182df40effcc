"""The backbone of the papers: StyleGAN2 (Karras et al. 2020), conditioned on layouts or not."""

from training.networks.backbones import BACKBONES, Backbone
from training.networks.discriminator import Discriminator
from training.networks.generator import Generator


@BACKBONES.register("stylegan2")
class StyleGAN2(Backbone):
    """Mapping and synthesis network with any conditioning; residual or skip discriminator."""

    generator = Generator
    discriminator = Discriminator
