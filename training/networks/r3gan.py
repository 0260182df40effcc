"""R3GAN (Huang et al. 2024), the modern baseline without tricks: residual networks that mirror each other.

No normalisation, no mapping network, no noise: stages of two grouped bottleneck blocks, bilinear resampling between
them, weights that begin as the Fix-up initialisation has them (section 4). Its loss, relativistic with R1 and R2, is
loss.adversarial=relativistic of any backbone.
"""

from collections.abc import Collection, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.config import DiscriminatorConfig, GeneratorConfig, RunConfig
from training.networks.backbones import BACKBONES, Backbone
from training.networks.conditioning import rows_of
from training.networks.discriminator import DiscriminatorOutput
from training.networks.parts import Keep, LayeredDiscriminator, PlainGenerator, SteeredSynthesis, check_plain, projected
from training.networks.synthesis import Noise

SLOPE = 0.2  # of the leaky relus
BLOCKS = 2  # of a stage
EXPANSION = 2  # how much wider a block is inside
GROUP_WIDTH = 16  # channels of a group, where they divide so
BRANCH_DEPTH = 3  # convolutions of a residual branch


class R3Generator(PlainGenerator):
    """z [N, z_dim], c [N, c_dim] and a layout -> images [N, img_channels, R, R], roughly in [-1, 1]."""

    def __init__(self, config: GeneratorConfig):
        super().__init__(config, R3Synthesis(config))


class R3Synthesis(SteeredSynthesis):
    """ws [N, 1, z_dim + c_dim] and heatmaps -> images. A learnt 4x4 basis, scaled by the latent, then a stage a
    resolution; SEL in front of each stage."""

    def __init__(self, config: GeneratorConfig):
        super().__init__(config)
        channels = config.synthesis.channels
        depth = len(self.resolutions) * BLOCKS
        self.basis = nn.Parameter(torch.randn(channels(4), 4, 4))
        self.gains = nn.Linear(config.z_dim + config.c_dim, channels(4))
        nn.init.normal_(self.gains.weight, std=self.gains.in_features**-0.5)
        nn.init.zeros_(self.gains.bias)
        self.widen = nn.ModuleDict(
            {str(2 * r): _change_width(channels(r), channels(2 * r)) for r in self.resolutions[:-1]}
        )
        self.stages = nn.ModuleDict({str(r): _stage(channels(r), depth) for r in self.resolutions})
        self.to_rgb = _conv(channels(self.resolutions[-1]), config.img_channels, 1, gain=1)
        self.add_encoding(config, {r: channels(r) for r in self.resolutions})

    def draw(self, ws: Tensor, features: dict[int, Tensor], noise: Noise, keep: Keep) -> Tensor:
        """As SteeredSynthesis has it; `noise` is not used."""
        x = self.basis * self.gains(ws[:, 0])[:, :, None, None]
        x = x.contiguous(memory_format=self.memory_format)
        for r in self.resolutions:
            if r > 4:
                x = self.widen[str(r)](F.interpolate(x, scale_factor=2, mode="bilinear"))
            x = keep(self.stages[str(r)](self.steered(x, features)))
        return self.to_rgb(x)


class R3Discriminator(LayeredDiscriminator):
    """Images [N, img_channels, R, R] and labels [N, c_dim] -> logits, positive for real. The generator in reverse; a
    depthwise 4x4 convolution in place of the basis."""

    def __init__(self, config: DiscriminatorConfig):
        super().__init__(config)
        channels = config.channels
        depth = (len(self.resolutions) + 1) * BLOCKS
        self.from_rgb = _conv(config.img_channels, channels(config.img_resolution), 1)
        self.stages = nn.ModuleDict({str(r): _stage(channels(r), depth) for r in self.resolutions})
        self.narrow = nn.ModuleDict({str(r): _change_width(channels(r), channels(r // 2)) for r in self.resolutions})
        self.last_stage = _stage(channels(4), depth)
        self.gather = nn.Conv2d(channels(4), channels(4), 4, groups=channels(4), bias=False)
        nn.init.normal_(self.gather.weight, std=1 / 4)
        self.out = nn.Linear(channels(4), 1)
        nn.init.normal_(self.out.weight, std=channels(4) ** -0.5)
        self.label = nn.Linear(config.c_dim, channels(4), bias=False) if config.c_dim > 0 else None

    def forward(self, img: Tensor, c: Tensor | None = None, features: Collection[int] = ()) -> DiscriminatorOutput:
        """`features`: resolutions of stage outputs to return, from R/2 down to 4."""
        x, kept = self.from_rgb(img.contiguous(memory_format=self.memory_format)), {}
        for r in self.resolutions:
            x = self.narrow[str(r)](_halved(self.stages[str(r)](x)))
            if r // 2 in features:
                kept[r // 2] = x
        gathered = self.gather(self.last_stage(x)).flatten(1)
        logits = self.out(gathered)
        if self.label is not None:
            embedding = self.label(rows_of("c", c, self.config.c_dim).to(gathered.dtype))
            logits = logits + projected(embedding, gathered) * gathered.shape[1] ** -0.5
        return DiscriminatorOutput(logits, kept)

    def layers_from_image(self) -> Iterator[nn.Module]:
        yield self.from_rgb
        for r in self.resolutions:
            for block in self.stages[str(r)].children():
                yield from block.children()
            yield self.narrow[str(r)]


class ResidualBlock(nn.Module):
    """x + conv 1x1(act(grouped conv 3x3(act(conv 1x1(x))))), wider inside; the last convolution begins at 0.

    `depth`: residual blocks of the network, L. Fix-up scales the first layers of a branch of m by L^(-1 / (2 m - 2)).
    """

    def __init__(self, channels: int, depth: int):
        super().__init__()
        inside = channels * EXPANSION
        scale = depth ** (-1 / (2 * BRANCH_DEPTH - 2))
        self.conv0 = _conv(channels, inside, 1, gain=_GAIN * scale)
        self.conv1 = _conv(inside, inside, 3, gain=_GAIN * scale, groups=inside // _group_width(inside))
        self.conv2 = _conv(inside, channels, 1, gain=0)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.leaky_relu(self.conv0(x), SLOPE))
        return x + self.conv2(F.leaky_relu(y, SLOPE))


_GAIN = (2 / (1 + SLOPE**2)) ** 0.5  # keeps the variance through a leaky relu (He et al. 2015)


def _stage(channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels, depth) for _ in range(BLOCKS)))


def _group_width(channels: int) -> int:
    """The largest divisor of `channels` up to GROUP_WIDTH."""
    return next(width for width in range(min(GROUP_WIDTH, channels), 0, -1) if channels % width == 0)


def _conv(ci: int, co: int, kernel: int, gain: float = 1.0, groups: int = 1, bias: bool = True) -> nn.Conv2d:
    """Weights normal, with variance gain^2 / inputs; biases 0."""
    conv = nn.Conv2d(ci, co, kernel, padding=kernel // 2, groups=groups, bias=bias)
    nn.init.normal_(conv.weight, std=gain * (ci // groups * kernel**2) ** -0.5)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def _change_width(ci: int, co: int) -> nn.Module:
    return nn.Identity() if ci == co else _conv(ci, co, 1, bias=False)


def _halved(x: Tensor) -> Tensor:
    """Bilinear, with antialiasing: the mean of a 2x2 square and, more weakly, of what is around it."""
    return F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True)


@BACKBONES.register("r3gan")
class R3GAN(Backbone):
    """Takes SEL_norm and SEL_concat (and layers like them) in front of each stage."""

    generator = R3Generator
    discriminator = R3Discriminator

    @staticmethod
    def check(config: RunConfig) -> None:
        check_plain(config)
        if config.generator.synthesis.spectral_norm or config.discriminator.spectral_norm:
            raise ValueError("networks.spectral_norm must be false with backbone r3gan, whose branches begin as zeros")

    @staticmethod
    def freezable_layers(config: DiscriminatorConfig) -> int:
        blocks = config.img_resolution.bit_length() - 3  # of R, R/2, ... 8
        return 1 + blocks * (BLOCKS * BRANCH_DEPTH + 1)
