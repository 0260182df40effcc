"""SPADE (Park et al. 2019): images from label maps, by spatially-adaptive normalization.

A normalization whose gain and offset are the same at every pixel washes a label map away; here they are made from the
map, pixel by pixel, in front of every convolution, and the latent alone begins the picture: it is the style. D scores
patches, at two scales. Hinge loss, feature matching and spectral normalization are options of any backbone;
configs/methods/spade.yaml has them.
"""

from collections.abc import Collection, Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.config import DiscriminatorConfig, GeneratorConfig, RunConfig
from training.networks.backbones import BACKBONES, Backbone
from training.networks.conditioning import rows_of
from training.networks.discriminator import DiscriminatorOutput
from training.networks.parts import Keep, LayeredDiscriminator, PlainGenerator, SteeredSynthesis, check_plain
from training.networks.synthesis import Noise

HIDDEN = 64  # features between a label map and the gain and offset made from it, at most
SCALES = 2  # at which D looks at an image: as it is, and at half the size
HALVINGS = 3  # of an image until its patches are scored, at most


def one_hot(c: Tensor, values: int, resolution: int) -> Tensor:
    """Label maps c [N, R * R], pixels' classes below `values` -> [N, values, R, R] of 0 and 1."""
    classes = torch.arange(values, device=c.device)[:, None, None]
    return (c.round().unflatten(1, (1, resolution, resolution)) == classes).to(c.dtype)


class SpadeGenerator(PlainGenerator):
    """z [N, z_dim], label maps c [N, R * R] and a layout -> images [N, img_channels, R, R] in [-1, 1]."""

    def __init__(self, config: GeneratorConfig):
        super().__init__(config, SpadeSynthesis(config))


class SpadeSynthesis(SteeredSynthesis):
    """ws [N, 1, z_dim + R * R] and heatmaps -> images: 4x4, then doubled up to R; SEL in front of each doubling."""

    def __init__(self, config: GeneratorConfig):
        super().__init__(config)
        self.z_dim, self.values = config.z_dim, config.c_values
        channels, last = config.synthesis.channels, self.resolutions[-1]
        self.first = nn.Linear(config.z_dim, channels(4) * 16)
        self.blocks = nn.ModuleDict(
            {str(r): _Block(channels(max(r // 2, 4)), channels(r), config.c_values) for r in self.resolutions}
        )
        self.last = nn.Conv2d(channels(last), config.img_channels, 3, padding=1)
        self.add_encoding(config, {r: channels(r) for r in self.resolutions[:-1]})

    def draw(self, ws: Tensor, features: dict[int, Tensor], noise: Noise, keep: Keep) -> Tensor:
        """As SteeredSynthesis has it; `noise` is not used."""
        classes = one_hot(ws[:, 0, self.z_dim :], self.values, self.resolutions[-1])
        x = self.first(ws[:, 0, : self.z_dim]).unflatten(1, (-1, 4, 4)).contiguous(memory_format=self.memory_format)
        for r in self.resolutions:
            if r > 4:
                x = F.interpolate(self.steered(x, features), scale_factor=2)
            x = keep(self.blocks[str(r)](x, F.interpolate(classes, size=r)))
        return self.last(F.leaky_relu(x, 0.2)).tanh()


class SPADE(nn.Module):
    """Batch normalization whose gain 1 + g(m) and offset b(m) come from a label map m, pixel by pixel (equation 1):

    g and b are convolutions of one hidden layer, relu(conv(m)).
    """

    def __init__(self, channels: int, values: int):
        super().__init__()
        hidden = min(2 * channels, HIDDEN)
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.hidden = nn.Conv2d(values, hidden, 3, padding=1)
        self.gain, self.offset = (nn.Conv2d(hidden, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        """x [N, C, r, r], classes [N, values, r, r]."""
        hidden = self.hidden(classes).relu()
        return torch.addcmul(self.offset(hidden), self.norm(x), 1 + self.gain(hidden))


class _Block(nn.Module):
    """conv(lrelu(SPADE(conv(lrelu(SPADE(x)))))) + x (figure 4), which a 1x1 convolution brings to other channels.

    The paper's has a SPADE in front of that convolution as well.
    """

    def __init__(self, ci: int, co: int, values: int):
        super().__init__()
        self.spade0, self.spade1 = SPADE(ci, values), SPADE(ci, values)
        self.conv0, self.conv1 = nn.Conv2d(ci, ci, 3, padding=1), nn.Conv2d(ci, co, 3, padding=1)
        self.skip = nn.Conv2d(ci, co, 1, bias=False) if ci != co else nn.Identity()

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        y = self.conv0(F.leaky_relu(self.spade0(x, classes), 0.2))
        y = self.conv1(F.leaky_relu(self.spade1(y, classes), 0.2))
        return y + self.skip(x)


class PatchDiscriminator(LayeredDiscriminator):
    """Images [N, img_channels, R, R] with label maps [N, R * R] -> logits [N, K] of patches, positive for real.

    Every scale sees the image and its label map, and has as large a share in the mean of the logits.
    """

    def __init__(self, config: DiscriminatorConfig):
        super().__init__(config)
        self.scales = nn.ModuleList(_PatchScale(config, config.img_resolution >> s) for s in range(SCALES))

    def forward(self, img: Tensor, c: Tensor | None = None, features: Collection[int] = ()) -> DiscriminatorOutput:
        """`features`: resolutions of block outputs to return, each from the first scale that has it."""
        c = rows_of("c", c, self.config.c_dim)
        x = torch.cat([img, one_hot(c, self.config.c_values, self.config.img_resolution)], dim=1)
        x = x.contiguous(memory_format=self.memory_format)
        logits: list[Tensor] = []
        kept: dict[int, Tensor] = {}
        for scale in self.scales:
            outputs = scale(x)
            kept = {x.shape[2]: x for x in outputs[:-1] if x.shape[2] in features} | kept
            size = logits[0].shape[2] if logits else outputs[-1].shape[2]
            logits.append(F.interpolate(outputs[-1], size=size))
            x = F.avg_pool2d(x, 2)
        return DiscriminatorOutput(torch.cat(logits, dim=1).flatten(1), kept)

    def layers_from_image(self) -> Iterator[nn.Module]:
        for scale in self.scales:
            yield from scale.get_submodule("blocks").children()


class _PatchScale(nn.Module):
    """Convolutions that halve the size, of features with instance normalization but the first, then one of logits."""

    def __init__(self, config: DiscriminatorConfig, resolution: int):
        super().__init__()
        sizes = [resolution >> k for k in range(halvings(config) + 1)]
        widths = [config.img_channels + config.c_values, *(config.channels(max(r, 1)) for r in sizes[1:])]
        self.blocks = nn.ModuleList(nn.Conv2d(ci, co, 4, stride=2, padding=1) for ci, co in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features [N, C, r, r] of each size, and the logits of patches [N, 1, r, r]."""
        outputs: list[Tensor] = []
        for block in self.blocks:
            x = block(x)
            x = F.leaky_relu(F.instance_norm(x) if outputs and x.shape[2] > 1 else x, 0.2)
            outputs.append(x)
        return [*outputs, self.last(x)]


def halvings(config: DiscriminatorConfig) -> int:
    """Of an image, as far as the smaller scale's features do not get below 4x4."""
    return max(min(HALVINGS, config.img_resolution.bit_length() - 2 - SCALES), 1)


@BACKBONES.register("spade")
class Spade(Backbone):
    """Takes label maps, and SEL_norm and SEL_concat (and layers like them) in front of each doubling."""

    generator = SpadeGenerator
    discriminator = PatchDiscriminator
    conditions = ("label-map",)
    needs_condition = True

    @staticmethod
    def check(config: RunConfig) -> None:
        check_plain(config)
        if config.generator.z_dim == 0:
            raise ValueError("backbone spade needs a generator.z_dim of 1 or more: the latent begins the picture")

    @staticmethod
    def freezable_layers(config: DiscriminatorConfig) -> int:
        return SCALES * halvings(config)

    @staticmethod
    def features(config: DiscriminatorConfig) -> tuple[int, ...]:
        return tuple(config.img_resolution >> k for k in range(1, halvings(config) + SCALES))
