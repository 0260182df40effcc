"""StyleGAN (Karras et al. 2019): styles enter by adaptive instance normalisation, AdaIN; noise after each convolution.

Mapping network, truncation and style mixing are those of every style-based generator here. The discriminator is
ProGAN's, as in the paper, and both networks can grow.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torch_utils.ops import setup_filter, upsample2d
from torch_utils.ops.bias_act import bias_act
from training.config import DiscriminatorConfig, GeneratorConfig, RunConfig, SynthesisConfig
from training.networks.backbones import BACKBONES, Backbone
from training.networks.generator import Generator
from training.networks.growing import GrowingDiscriminator, GrowingSynthesis, freezable_layers
from training.networks.layers import Conv2d, Linear
from training.networks.parts import check_encoding
from training.networks.spatial_encoding import instance_norm
from training.networks.synthesis import Noise


class StyleGANGenerator(Generator):
    """z [N, z_dim], c [N, c_dim] and a layout -> images [N, img_channels, R, R], roughly in [-1, 1]."""

    def make_synthesis(self) -> "StyleSynthesis":
        return StyleSynthesis(self.config)


class StyleSynthesis(GrowingSynthesis):
    """ws [N, num_ws, w_dim], two of each resolution, and heatmaps -> images; SEL in front of each block."""

    resample_filter: Tensor

    def __init__(self, config: GeneratorConfig):
        super().__init__(config)
        channels, settings = config.synthesis.channels, config.synthesis
        self.num_ws = 2 * len(self.resolutions)
        self.w_shape = (self.num_ws, config.w_dim)
        self.const = nn.Parameter(torch.randn(channels(4), 4, 4))  # of ones, AdaIN would only see the border's zeros
        widths = {r: channels(max(r // 2, 4)) for r in self.resolutions}
        self.conv0 = nn.ModuleDict(
            {str(r): Conv2d(widths[r], channels(r), 3, bias=False) for r in self.resolutions[1:]}
        )
        self.conv1 = nn.ModuleDict({str(r): Conv2d(channels(r), channels(r), 3, bias=False) for r in self.resolutions})
        self.after0, self.after1 = (
            nn.ModuleDict({str(r): StyledEnd(channels(r), r, config.w_dim, settings) for r in self.resolutions})
            for _ in range(2)
        )
        self.register_buffer("resample_filter", setup_filter(list(settings.resample_filter)), persistent=False)
        self.add_encoding(config, widths)

    def block(self, r: int, x: Tensor | None, ws: Tensor, features: dict[int, Tensor], noise: Noise) -> Tensor:
        """As GrowingSynthesis has it."""
        first = 2 * self.resolutions.index(r)
        if x is None:
            x = self.const.expand(len(ws), -1, -1, -1).contiguous(memory_format=self.memory_format)
            x = self.steered(x, features)
        else:
            x = self.conv0[str(r)](self.steered(self.upsampled(x), features))
        end0, end1 = self.ends(r)
        x = end0(x, ws[:, first], noise)
        return end1(self.conv1[str(r)](x), ws[:, first + 1], noise)

    def ends(self, r: int) -> tuple["StyledEnd", "StyledEnd"]:
        """What follows the two convolutions of a resolution."""
        return cast(StyledEnd, self.after0[str(r)]), cast(StyledEnd, self.after1[str(r)])

    def upsampled(self, x: Tensor) -> Tensor:
        """[N, C, r, r] -> [N, C, 2 r, 2 r], filtered as if the border went on outside: zeros there would take a part of
        the border's values, and AdaIN makes a frame around the picture of that."""
        return upsample2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), self.resample_filter)[..., 2:-2, 2:-2]


class StyledEnd(nn.Module):
    """What follows a convolution: noise with a strength for each channel, bias, activation, AdaIN."""

    noise_const: Tensor  # [resolution, resolution], where noise is used

    def __init__(self, channels: int, resolution: int, w_dim: int, config: SynthesisConfig):
        super().__init__()
        self.activation, self.use_noise = config.activation, config.use_noise
        self.bias = nn.Parameter(torch.zeros(channels))
        if config.use_noise:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
            self.noise_strength = nn.Parameter(torch.zeros(channels))
        self.style = Linear(w_dim, 2 * channels)

    def forward(self, x: Tensor, w: Tensor, noise: Noise) -> Tensor:
        """x [N, C, r, r], w [N, w_dim] -> [N, C, r, r]."""
        if self.use_noise:
            drawn = noise.draw(self.noise_const, len(x))
            if drawn is not None:
                x = x + self.noise_strength[:, None, None] * drawn
        x = bias_act(x, self.bias, act=self.activation)
        gain, offset = self.style(w).chunk(2, dim=1)
        return adaptive_instance_norm(x, 1 + gain, offset)


def adaptive_instance_norm(x: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    """AdaIN(x, y) = y_s (x - mean) / std + y_b, over the pixels of each channel of x [N, C, H, W] (equation 1).

    gain y_s and offset y_b: [N, C].
    """
    return torch.addcmul(offset[:, :, None, None], instance_norm(x), gain[:, :, None, None])


@BACKBONES.register("stylegan")
class StyleGAN(Backbone):
    """Grows where the configuration says so. Takes SEL_norm and SEL_concat (and layers like them) in every block."""

    generator = StyleGANGenerator
    discriminator = GrowingDiscriminator
    grows = True

    @staticmethod
    def check(config: RunConfig) -> None:
        check_encoding(config)

    @staticmethod
    def freezable_layers(config: DiscriminatorConfig) -> int:
        return freezable_layers(config)
