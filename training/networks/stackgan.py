"""StackGAN (Zhang et al. 2017): a rough picture of a caption, then a second network corrects it at twice the size.

Both stages draw what they make of the caption from a normal distribution around its encoding, conditioning
augmentation; half of the latent z is that draw, the other half the noise that the first stage begins with. The stages
are trained one after the other, each against a discriminator of its own, which the growth schedule says: at the first
level the first stage, from then on the second one, with the first one's moving average. The matching-aware loss is an
option of any backbone; configs/methods/stackgan.yaml has it.
"""

from collections.abc import Callable, Collection, Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.config import DiscriminatorConfig, GeneratorConfig, RunConfig
from training.networks.backbones import BACKBONES, Backbone
from training.networks.conditioning import rows_of
from training.networks.discriminator import DiscriminatorOutput
from training.networks.growing import Growing, enlarged, reduced
from training.networks.parts import Keep, LayeredDiscriminator, PlainGenerator, SteeredSynthesis, check_plain
from training.networks.synthesis import Noise
from training.networks.text import TextEncoder


class StackGenerator(PlainGenerator):
    """z [N, z_dim], captions c [N, c_dim] and a layout -> images [N, img_channels, R, R] in [-1, 1]."""

    synthesis: "StackSynthesis"

    def __init__(self, config: GeneratorConfig):
        super().__init__(config, StackSynthesis(config))

    def condition_gaussian(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance [N, D] that the stage in training draws from."""
        return self.synthesis.current.augment.gaussian(c)


class StackSynthesis(SteeredSynthesis, Growing):
    """ws [N, 1, z_dim + c_dim] and heatmaps -> images; SEL in front of each doubling of the first stage."""

    def __init__(self, config: GeneratorConfig):
        super().__init__(config)
        self.z_dim = config.z_dim
        self.begin_level(config.img_resolution)
        self.first, self.second = StageOne(config, self.resolutions[:-1]), StageTwo(config)
        self.add_encoding(config, {r: config.synthesis.channels(r) for r in self.resolutions[:-2]})

    @property
    def share(self) -> float:
        """Of the second stage: 0 in the first level, then 1."""
        return min(max(self.level - (len(self.resolutions) - 2), 0.0), 1.0)

    def finished(self, level: float) -> list[nn.Module]:
        """The first stage, as soon as there is a second one."""
        return [self.first] if level > len(self.resolutions) - 2 else []

    @property
    def current(self) -> "StageOne | StageTwo":
        return self.second if self.share > 0 else self.first

    def draw(self, ws: Tensor, features: dict[int, Tensor], noise: Noise, keep: Keep) -> Tensor:
        """As SteeredSynthesis has it; `noise` is not used."""
        z, c = ws[:, 0, : self.z_dim], ws[:, 0, self.z_dim :]
        R = self.resolutions[-1]
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.share == 0):
            small = self.first(z, c, lambda x: self.steered(x, features), keep)
        sketch = enlarged(small, R)
        if self.share == 0:
            return sketch.tanh()
        return torch.lerp(sketch.tanh(), (sketch + self.second(small.tanh(), z, c, keep)).tanh(), self.share)


class ConditioningAugmentation(nn.Module):
    """Captions c -> mu(t) + sigma(t) * e of their encodings t, for e drawn from a normal distribution (section 3.2)."""

    def __init__(self, config: GeneratorConfig, size: int):
        super().__init__()
        self.encoder = TextEncoder(config.c_dim, config.c_values, config.w_dim)
        self.linear = nn.Linear(config.w_dim, 2 * size)

    def gaussian(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, [N, size]."""
        mean, log_variance = F.leaky_relu(self.linear(self.encoder(c)), 0.2).chunk(2, dim=1)
        return mean, log_variance

    def forward(self, c: Tensor, e: Tensor) -> Tensor:
        mean, log_variance = self.gaussian(c)
        return mean + (log_variance / 2).exp() * e


class StageOne(nn.Module):
    """Noise and caption -> 4x4 features, doubled up to an image of half the size, in front of its tanh."""

    def __init__(self, config: GeneratorConfig, resolutions: list[int]):
        super().__init__()
        channels, self.noise = config.synthesis.channels, config.z_dim - config.z_dim // 2
        self.augment = ConditioningAugmentation(config, config.z_dim // 2)
        self.begin = nn.Linear(config.z_dim, channels(4) * 16)
        self.norm = nn.BatchNorm2d(channels(4))
        self.ups = nn.ModuleList(_normalized(channels(r // 2), channels(r)) for r in resolutions[1:])
        self.to_rgb = nn.Conv2d(channels(resolutions[-1]), config.img_channels, 3, padding=1)

    def forward(self, z: Tensor, c: Tensor, steered: Callable[[Tensor], Tensor], keep: Keep) -> Tensor:
        condition = self.augment(c, z[:, self.noise :])
        x = self.begin(torch.cat([z[:, : self.noise], condition], dim=1)).unflatten(1, (-1, 4, 4))
        x = keep(self.norm(x).relu())
        for up in self.ups:
            x = keep(up(F.interpolate(steered(x), scale_factor=2)))
        return self.to_rgb(x)


class StageTwo(nn.Module):
    """The first stage's image, reduced to features, and the caption at every pixel -> residual blocks -> what is to
    be added to that image, enlarged, in front of the tanh.

    The paper's second stage draws all of its image. Corrections that begin at 0 keep what the first stage knows about
    the caption; in short runs it was lost (docs/lineage.md).
    """

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        channels, R, size = config.synthesis.channels, config.img_resolution, config.z_dim // 2
        self.size, wide = size, channels(R // 4)
        self.augment = ConditioningAugmentation(config, size)
        self.from_rgb = nn.Conv2d(config.img_channels, channels(R // 2), 3, padding=1)
        self.down = _normalized(channels(R // 2), wide, kernel=4, stride=2)
        self.join = _normalized(wide + size, wide)
        self.residual = nn.ModuleList(
            nn.Sequential(
                _normalized(wide, wide), nn.Conv2d(wide, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide)
            )
            for _ in range(2)
        )
        self.ups = nn.ModuleList(_normalized(channels(r // 2), channels(r)) for r in (R // 2, R))
        self.correction = nn.Conv2d(channels(R), config.img_channels, 3, padding=1)
        self.gain = nn.Parameter(torch.zeros([]))  # filters of zeros would have no spectral norm

    def forward(self, small: Tensor, z: Tensor, c: Tensor, keep: Keep) -> Tensor:
        condition = self.augment(c, z[:, -self.size :])
        x = self.down(self.from_rgb(small).relu())
        x = self.join(torch.cat([x, _at_every_pixel(condition, x)], dim=1))
        for block in self.residual:
            x = (x + block(x)).relu()
        for up in self.ups:
            x = up(F.interpolate(x, scale_factor=2))
        return self.gain * self.correction(keep(x))


class StackDiscriminator(LayeredDiscriminator, Growing):
    """Images [N, img_channels, R, R] and captions [N, c_dim] -> logits, positive for real ones that match."""

    def __init__(self, config: DiscriminatorConfig):
        super().__init__(config)
        self.begin_level(config.img_resolution)
        self.first, self.second = (_Critic(config, config.img_resolution // k) for k in (2, 1))

    def forward(self, img: Tensor, c: Tensor | None = None, features: Collection[int] = ()) -> DiscriminatorOutput:
        """`features`: resolutions of block outputs to return, as far as they are there, from R/2 down to 4."""
        c = rows_of("c", c, self.config.c_dim)
        critic = self.second if self.level > len(self.resolutions) - 1 else self.first
        x = reduced(img, critic.resolution).contiguous(memory_format=self.memory_format)
        kept: dict[int, Tensor] = {}
        logits = critic(x, c, kept)
        return DiscriminatorOutput(logits, {r: x for r, x in kept.items() if r in features})

    def layers_from_image(self) -> Iterator[nn.Module]:
        """Those of the second stage."""
        yield from self.second.blocks


class _Critic(nn.Module):
    """Convolutions down to 4x4, the caption's encoding at every pixel there, and what the two say together."""

    def __init__(self, config: DiscriminatorConfig, resolution: int):
        super().__init__()
        self.resolution, code = resolution, config.channels(4)
        sizes = [resolution >> k for k in range(resolution.bit_length() - 3)]  # resolution to 8
        widths = [config.channels(resolution), *(config.channels(r // 2) for r in sizes)]
        halving = (nn.Conv2d(ci, co, 4, stride=2, padding=1) for ci, co in pairwise(widths))
        self.blocks = nn.ModuleList([nn.Conv2d(config.img_channels, widths[0], 3, padding=1), *halving])
        self.encoder = TextEncoder(config.c_dim, config.c_values, code)
        self.join = nn.Conv2d(widths[-1] + code, config.channels(4), 3, padding=1)
        self.last = nn.Conv2d(config.channels(4), config.channels(4), 3, padding=1)
        self.out = nn.Conv2d(config.channels(4), 1, 4)

    def forward(self, x: Tensor, c: Tensor, kept: dict[int, Tensor]) -> Tensor:
        for block in self.blocks:
            x = F.leaky_relu(block(x), 0.2)
            kept[x.shape[2]] = x
        x = F.leaky_relu(self.join(torch.cat([x, _at_every_pixel(self.encoder(c), x)], dim=1)), 0.2)
        return self.out(F.leaky_relu(self.last(x), 0.2)).flatten(1)


def _normalized(ci: int, co: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution without a bias, batch normalization, relu."""
    return nn.Sequential(nn.Conv2d(ci, co, kernel, stride, padding=1, bias=False), nn.BatchNorm2d(co), nn.ReLU())


def _at_every_pixel(code: Tensor, x: Tensor) -> Tensor:
    """[N, D] -> [N, D, h, w] of x [N, C, h, w]."""
    return code[:, :, None, None].expand(-1, -1, *x.shape[2:])


@BACKBONES.register("stackgan")
class StackGAN(Backbone):
    """Takes captions, or embeddings of them as labels; SEL_norm and SEL_concat (and layers like them) in the first
    stage."""

    generator = StackGenerator
    discriminator = StackDiscriminator
    grows = True
    conditions = ("text", "labels")
    needs_condition = True
    augments_condition = True

    @staticmethod
    def check(config: RunConfig) -> None:
        check_plain(config)
        R = config.generator.img_resolution
        if R < 16 or config.generator.z_dim < 2:
            raise ValueError("backbone stackgan needs images of 16x16 or more and a generator.z_dim of 2 or more")
        if config.growth is None or config.growth.start_resolution not in (None, R // 2):
            raise ValueError(
                f"backbone stackgan has a first stage at half the size: set growth.start_resolution={R // 2}, or null"
            )

    @staticmethod
    def freezable_layers(config: DiscriminatorConfig) -> int:
        return config.img_resolution.bit_length() - 2
