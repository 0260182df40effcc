"""SN-DCGAN (Miyato et al. 2018, "standard CNN"), with heatmaps: the second backbone (EqGAN-SA, table 2).

Both networks take and give what those of StyleGAN2 do, so that losses, training and sampling are the same. There is no
mapping network: the one "w" of an image is its latent, followed by its label.
"""

from collections.abc import Collection, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.config import DiscriminatorConfig, GeneratorConfig
from training.networks.backbones import BACKBONES, Backbone
from training.networks.conditioning import rows_of
from training.networks.discriminator import DiscriminatorOutput
from training.networks.parts import Keep, LayeredDiscriminator, PlainGenerator, SteeredSynthesis, check_plain, projected
from training.networks.spectral import normalize_spectra
from training.networks.synthesis import Noise

SLOPE = 0.1  # of the leaky relus in the discriminator


class DCGANGenerator(PlainGenerator):
    """z [N, z_dim], c [N, c_dim] and a layout -> images [N, img_channels, R, R] in [-1, 1]."""

    def __init__(self, config: GeneratorConfig):
        super().__init__(config, DCGANSynthesis(config))


class DCGANSynthesis(SteeredSynthesis):
    """ws [N, 1, z_dim + c_dim] and heatmaps -> images: 4x4, then doubled up to R; SEL in front of each doubling."""

    def __init__(self, config: GeneratorConfig):
        super().__init__(config)
        self.z_dim, self.c_dim = config.z_dim, config.c_dim
        channels, small = config.synthesis.channels, self.resolutions[:-1]
        self.first = nn.Linear(config.z_dim, channels(4) * 16)
        self.blocks = nn.ModuleDict({str(r): _UpBlock(channels(r), channels(2 * r), config.c_dim) for r in small})
        self.last = nn.Conv2d(channels(self.resolutions[-1]), config.img_channels, 3, padding=1)
        _draw_weights(self)
        self.add_encoding(config, {r: channels(r) for r in small})

    def draw(self, ws: Tensor, features: dict[int, Tensor], noise: Noise, keep: Keep) -> Tensor:
        """As SteeredSynthesis has it; `noise` is not used."""
        z, c = ws[:, 0].split([self.z_dim, self.c_dim], dim=1)
        x = self.first(z).unflatten(1, (-1, 4, 4))  # [N, C, 4, 4]
        x = keep(x.contiguous(memory_format=self.memory_format))
        for block in self.blocks.values():
            x = keep(block(self.steered(x, features), c))
        return self.last(x).tanh()


class _UpBlock(nn.Module):
    """Transposed 4x4 convolution that doubles the size, (conditional) batch normalisation, relu."""

    def __init__(self, ci: int, co: int, c_dim: int):
        super().__init__()
        self.conv = nn.ConvTranspose2d(ci, co, 4, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(co, affine=c_dim == 0)
        self.affine = nn.Linear(c_dim, 2 * co) if c_dim > 0 else None

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        if self.affine is not None:
            gain, bias = self.affine(c)[:, :, None, None].chunk(2, dim=1)
            x = torch.addcmul(bias, x, 1 + gain)
        return x.relu()


class SNDiscriminator(LayeredDiscriminator):
    """Images [N, img_channels, R, R] and labels [N, c_dim] -> logits, positive for real.

    Every layer is spectrally normalized; a label enters by projection (Miyato and Koyama 2018).
    """

    def __init__(self, config: DiscriminatorConfig):
        super().__init__(config)
        channels = config.channels
        inputs = [config.img_channels, *(channels(r) for r in self.resolutions)]
        self.blocks = nn.ModuleDict(
            {str(r): _DownBlock(ci, channels(r)) for ci, r in zip(inputs, self.resolutions, strict=False)}
        )
        self.conv = nn.Conv2d(inputs[-1], channels(4), 3, padding=1)
        self.out = nn.Linear(channels(4) * 16, 1)
        self.label = nn.Linear(config.c_dim, channels(4), bias=False) if config.c_dim > 0 else None
        _draw_weights(self)
        normalize_spectra(self)

    def forward(self, img: Tensor, c: Tensor | None = None, features: Collection[int] = ()) -> DiscriminatorOutput:
        """`features`: resolutions of block outputs to return, from R/2 down to 4."""
        x, kept = img.contiguous(memory_format=self.memory_format), {}
        for r in self.resolutions:
            x = self.blocks[str(r)](x)
            if r // 2 in features:
                kept[r // 2] = x
        x = F.leaky_relu(self.conv(x), SLOPE)
        logits = self.out(x.flatten(1))
        if self.label is not None:
            embedding = self.label(rows_of("c", c, self.config.c_dim).to(x.dtype))
            logits = logits + projected(embedding, x.sum((2, 3)))
        return DiscriminatorOutput(logits, kept)

    def layers_from_image(self) -> Iterator[nn.Module]:
        for r in self.resolutions:
            yield from self.blocks[str(r)].children()
        yield self.conv


class _DownBlock(nn.Module):
    """A 3x3 convolution, and a 4x4 one that halves the size."""

    def __init__(self, ci: int, co: int):
        super().__init__()
        self.conv0 = nn.Conv2d(ci, co, 3, padding=1)
        self.conv1 = nn.Conv2d(co, co, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.conv0(x), SLOPE)
        return F.leaky_relu(self.conv1(x), SLOPE)


def _draw_weights(network: nn.Module) -> None:
    """Normal with a standard deviation of 0.02, biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@BACKBONES.register("sndcgan")
class SNDCGAN(Backbone):
    """Takes SEL_norm and SEL_concat (and layers like them) in front of each doubling."""

    generator = DCGANGenerator
    discriminator = SNDiscriminator

    check = staticmethod(check_plain)

    @staticmethod
    def freezable_layers(config: DiscriminatorConfig) -> int:
        return 2 * (config.img_resolution.bit_length() - 3) + 1
