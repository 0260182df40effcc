"""The backbone of the papers: StyleGAN2 (Karras et al. 2020), conditioned on layouts or not."""

from training.config import DiscriminatorConfig
from training.networks.backbones import BACKBONES, Backbone
from training.networks.discriminator import Discriminator
from training.networks.generator import Generator


@BACKBONES.register("stylegan2")
class StyleGAN2(Backbone):
    """Mapping and synthesis network with any conditioning; residual or skip discriminator."""

    generator = Generator
    discriminator = Discriminator

    @staticmethod
    def freezable_layers(config: DiscriminatorConfig) -> int:
        blocks = config.img_resolution.bit_length() - 3  # of R, R/2, ... 8
        return 2 * blocks + (1 if config.architecture == "orig" else blocks + (config.architecture == "resnet"))

    @staticmethod
    def scores_both_at_once(config: DiscriminatorConfig, count: int) -> bool:
        """Where 2 x count images have the groups of the minibatch standard deviation that count images have."""
        size = config.mbstd_group_size
        return config.mbstd_num_channels == 0 or (size is not None and size <= count and count % size == 0)
