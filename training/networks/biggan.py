"""BigGAN (Brock et al. 2019): class-conditional residual networks with self-attention.

Its latent is cut into chunks: the first begins the picture, each other one, with the embedding of the label that all
blocks share, makes the gains and offsets of one block's normalizations (skip-z). Hinge loss, orthogonal regularization,
spectral normalization, two steps of D to one of G and truncation of z are options of any backbone;
configs/methods/biggan.yaml has them.
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

LARGEST_ATTENTION = 64  # features of this size, or of half the image's, attend to themselves


class BigGenerator(PlainGenerator):
    """z [N, z_dim], c [N, c_dim] and a layout -> images [N, img_channels, R, R] in [-1, 1]."""

    def __init__(self, config: GeneratorConfig):
        super().__init__(config, BigSynthesis(config))


class BigSynthesis(SteeredSynthesis):
    """ws [N, 1, z_dim + c_dim] and heatmaps -> images: 4x4, then doubled up to R; SEL in front of each doubling."""

    def __init__(self, config: GeneratorConfig):
        super().__init__(config)
        self.z_dim, self.c_dim = config.z_dim, config.c_dim
        channels, small = config.synthesis.channels, self.resolutions[:-1]
        self.chunks = chunk_sizes(config.z_dim, 1 + len(small))
        embedded = (config.mapping.embed_features or config.w_dim) if config.c_dim > 0 else 0
        self.embed = nn.Linear(config.c_dim, embedded, bias=False) if config.c_dim > 0 else None
        self.first = nn.Linear(self.chunks[0], channels(4) * 16)
        self.blocks = nn.ModuleDict(
            {str(r): _UpBlock(channels(r), channels(2 * r), embedded + size)
             for r, size in zip(small, self.chunks[1:], strict=True)}
        )  # fmt: skip
        self.attending = min(LARGEST_ATTENTION, config.img_resolution // 2)
        self.attention = SelfAttention(channels(self.attending))
        self.norm = nn.BatchNorm2d(channels(self.resolutions[-1]))
        self.last = nn.Conv2d(channels(self.resolutions[-1]), config.img_channels, 3, padding=1)
        _draw_orthogonal(self)
        self.add_encoding(config, {r: channels(r) for r in small})

    def draw(self, ws: Tensor, features: dict[int, Tensor], noise: Noise, keep: Keep) -> Tensor:
        """As SteeredSynthesis has it; `noise` is not used."""
        z, c = ws[:, 0].split([self.z_dim, self.c_dim], dim=1)
        begin, *chunks = z.split(self.chunks, dim=1)
        if self.embed is not None:
            embedding = self.embed(c)
            chunks = [torch.cat([embedding, chunk], dim=1) for chunk in chunks]
        x = self.first(begin).unflatten(1, (-1, 4, 4)).contiguous(memory_format=self.memory_format)  # [N, C, 4, 4]
        x = keep(self._attended(x))
        for block, condition in zip(self.blocks.values(), chunks, strict=True):
            x = keep(self._attended(block(self.steered(x, features), condition)))
        return self.last(self.norm(x).relu()).tanh()

    def _attended(self, x: Tensor) -> Tensor:
        """x after attention, where this is its place."""
        return self.attention(x) if x.shape[2] == self.attending else x


class ConditionalNorm(nn.Module):
    """Batch normalization whose gain 1 + W_g h and offset W_b h come from a condition h [N, condition_dim]."""

    def __init__(self, channels: int, condition_dim: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.affine = nn.Linear(condition_dim, 2 * channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, offset = self.affine(condition)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(offset, self.norm(x), 1 + gain)


class _UpBlock(nn.Module):
    """conv(relu(norm(conv(up(relu(norm(x))))))) + conv 1x1(up(x))."""

    def __init__(self, ci: int, co: int, condition_dim: int):
        super().__init__()
        self.norm0, self.norm1 = ConditionalNorm(ci, condition_dim), ConditionalNorm(co, condition_dim)
        self.conv0, self.conv1 = nn.Conv2d(ci, co, 3, padding=1), nn.Conv2d(co, co, 3, padding=1)
        self.skip = nn.Conv2d(ci, co, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.conv0(F.interpolate(self.norm0(x, condition).relu(), scale_factor=2))
        y = self.conv1(self.norm1(y, condition).relu())
        return y + self.skip(F.interpolate(x, scale_factor=2))


class SelfAttention(nn.Module):
    """x + gamma o(softmax(f(x)^T g(x)) h(x)), gamma 0 at first (Zhang et al. 2019); g and h at half the size."""

    def __init__(self, channels: int):
        super().__init__()
        narrow, half = max(channels // 8, 1), max(channels // 2, 1)
        self.f, self.g = (nn.Conv2d(channels, narrow, 1, bias=False) for _ in range(2))
        self.h, self.o = nn.Conv2d(channels, half, 1, bias=False), nn.Conv2d(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros([]))

    def forward(self, x: Tensor) -> Tensor:
        f = self.f(x).flatten(2)  # [N, C / 8, HW]
        g = F.max_pool2d(self.g(x), 2).flatten(2)  # [N, C / 8, HW / 4]
        h = F.max_pool2d(self.h(x), 2).flatten(2)  # [N, C / 2, HW / 4]
        attention = (f.transpose(1, 2) @ g).softmax(dim=2)  # [N, HW, HW / 4]
        return x + self.gamma * self.o((h @ attention.transpose(1, 2)).unflatten(2, x.shape[2:]))


class BigDiscriminator(LayeredDiscriminator):
    """Images [N, img_channels, R, R] and labels [N, c_dim] -> logits, positive for real; labels by projection."""

    def __init__(self, config: DiscriminatorConfig):
        super().__init__(config)
        channels, R = config.channels, config.img_resolution
        inputs = {r: config.img_channels if r == R else channels(r) for r in self.resolutions}
        self.blocks = nn.ModuleDict({str(r): _DownBlock(ci, channels(r // 2), r == R) for r, ci in inputs.items()})
        self.attending = min(LARGEST_ATTENTION, R // 2)
        self.attention = SelfAttention(channels(self.attending))
        self.last_block = _DownBlock(channels(4), channels(4), is_first=False, halves=False)
        self.out = nn.Linear(channels(4), 1)
        self.label = nn.Linear(config.c_dim, channels(4), bias=False) if config.c_dim > 0 else None
        _draw_orthogonal(self)

    def forward(self, img: Tensor, c: Tensor | None = None, features: Collection[int] = ()) -> DiscriminatorOutput:
        """`features`: resolutions of block outputs to return, from R/2 down to 4."""
        x, kept = img.contiguous(memory_format=self.memory_format), {}
        for r in self.resolutions:
            x = self.blocks[str(r)](x)
            if r // 2 == self.attending:
                x = self.attention(x)
            if r // 2 in features:
                kept[r // 2] = x
        summed = self.last_block(x).relu().sum((2, 3))
        logits = self.out(summed)
        if self.label is not None:
            embedding = self.label(rows_of("c", c, self.config.c_dim).to(summed.dtype))
            logits = logits + projected(embedding, summed)
        return DiscriminatorOutput(logits, kept)

    def layers_from_image(self) -> Iterator[nn.Module]:
        for r in self.resolutions:
            block = self.blocks[str(r)]
            yield from block.children()
            if r // 2 == self.attending:
                yield self.attention


class _DownBlock(nn.Module):
    """conv(relu(conv(relu(x)))) + conv 1x1(x), then half the size; the first block has no relu in front."""

    def __init__(self, ci: int, co: int, is_first: bool, halves: bool = True):
        super().__init__()
        self.is_first, self.halves = is_first, halves
        self.conv0, self.conv1 = nn.Conv2d(ci, co, 3, padding=1), nn.Conv2d(co, co, 3, padding=1)
        self.skip = nn.Conv2d(ci, co, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv0(x if self.is_first else x.relu())
        y = self.conv1(y.relu()) + self.skip(x)
        return F.avg_pool2d(y, 2) if self.halves else y


def chunk_sizes(z_dim: int, count: int) -> list[int]:
    """Sizes of `count` chunks of a latent, as equal as can be, the larger ones first."""
    return [z_dim // count + (i < z_dim % count) for i in range(count)]


def _draw_orthogonal(network: nn.Module) -> None:
    """Rows or columns of each layer's weight, [filters, inputs], are orthonormal; biases are 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.orthogonal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@BACKBONES.register("biggan")
class BigGAN(Backbone):
    """Takes SEL_norm and SEL_concat (and layers like them) in front of each doubling."""

    generator = BigGenerator
    discriminator = BigDiscriminator

    @staticmethod
    def check(config: RunConfig) -> None:
        check_plain(config)
        chunks = config.generator.img_resolution.bit_length() - 2
        if config.generator.z_dim < chunks:
            raise ValueError(f"backbone biggan needs a generator.z_dim of {chunks} or more, one number for each chunk")

    @staticmethod
    def freezable_layers(config: DiscriminatorConfig) -> int:
        return 3 * (config.img_resolution.bit_length() - 3) + 1
