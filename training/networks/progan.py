"""ProGAN (Karras et al. 2018): networks that grow, equalised learning rates, pixelwise feature normalisation.

The discriminator, with its minibatch standard deviation, and the growth are in training/networks/growing.py.
"""

from torch import Tensor, nn

from torch_utils.ops import setup_filter, upsample2d
from training.config import DiscriminatorConfig, GeneratorConfig
from training.networks.backbones import BACKBONES, Backbone
from training.networks.growing import GrowingDiscriminator, GrowingSynthesis, freezable_layers
from training.networks.layers import Conv2d, Linear, normalize_2nd_moment
from training.networks.parts import PlainGenerator, check_plain
from training.networks.synthesis import Noise


class ProGenerator(PlainGenerator):
    """z [N, z_dim], c [N, c_dim] and a layout -> images [N, img_channels, R, R], roughly in [-1, 1]."""

    def __init__(self, config: GeneratorConfig):
        super().__init__(config, ProSynthesis(config))


class ProSynthesis(GrowingSynthesis):
    """ws [N, 1, z_dim + c_dim] and heatmaps -> images; SEL in front of the first convolution of each block."""

    resample_filter: Tensor

    def __init__(self, config: GeneratorConfig):
        super().__init__(config)
        channels, act = config.synthesis.channels, config.synthesis.activation
        self.first = Linear(config.z_dim + config.c_dim, channels(4) * 16, activation=act)
        widths = {r: channels(max(r // 2, 4)) for r in self.resolutions}
        self.conv0 = nn.ModuleDict(
            {str(r): Conv2d(widths[r], channels(r), 3, activation=act) for r in self.resolutions[1:]}
        )
        self.conv1 = nn.ModuleDict({str(r): Conv2d(channels(r), channels(r), 3, activation=act) for r in widths})
        self.register_buffer("resample_filter", setup_filter(list(config.synthesis.resample_filter)), persistent=False)
        self.add_encoding(config, widths)

    def block(self, r: int, x: Tensor | None, ws: Tensor, features: dict[int, Tensor], noise: Noise) -> Tensor:
        """As GrowingSynthesis has it; `noise` is not used."""
        if x is None:
            x = self.first(normalize_pixels(ws[:, 0])).unflatten(1, (-1, 4, 4))  # [N, C, 4, 4]
            x = normalize_pixels(x.contiguous(memory_format=self.memory_format))
            return normalize_pixels(self.conv1["4"](self.steered(x, features)))
        x = self.steered(upsample2d(x, self.resample_filter), features)
        x = normalize_pixels(self.conv0[str(r)](x))
        return normalize_pixels(self.conv1[str(r)](x))


def normalize_pixels(x: Tensor) -> Tensor:
    """Bring the mean square over the channels of [N, C, ...] to 1, pixel by pixel (section 4.2)."""
    return normalize_2nd_moment(x)


@BACKBONES.register("progan")
class ProGAN(Backbone):
    """Grows where the configuration says so. Takes SEL_norm and SEL_concat (and layers like them) in every block."""

    generator = ProGenerator
    discriminator = GrowingDiscriminator
    check = staticmethod(check_plain)
    grows = True

    @staticmethod
    def freezable_layers(config: DiscriminatorConfig) -> int:
        return freezable_layers(config)
