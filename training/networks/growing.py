"""Networks that grow while they train (Karras et al. 2018, section 2): a level says how far they are.

Level l is the network for images of 4 * 2^l pixels alone; between l and l + 1 the layers of the larger one are faded
in, with alpha = level - l. Images are [N, C, R, R] at every level, enlarged where the network is smaller. What is faded
in when, training/growth.py says.
"""

from collections.abc import Collection, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torch_utils.ops import downsample2d, setup_filter
from training.config import DiscriminatorConfig, GeneratorConfig
from training.networks.backbones import Module
from training.networks.discriminator import DiscriminatorEpilogue, DiscriminatorOutput
from training.networks.layers import Conv2d
from training.networks.mapping import MappingNetwork
from training.networks.parts import Keep, LayeredDiscriminator, SteeredSynthesis
from training.networks.synthesis import Noise


class Growing(nn.Module):
    """A module with a `level`, kept in its state. Fresh, it is grown up."""

    level: float
    stage: Tensor

    def begin_level(self, img_resolution: int) -> None:
        self.register_buffer("stage", torch.zeros([], dtype=torch.float32))
        self.register_load_state_dict_post_hook(_read_level)
        self.set_level(img_resolution.bit_length() - 3)

    def set_level(self, level: float) -> None:
        """Raises ValueError for a level below 0."""
        if level < 0:
            raise ValueError(f"there is no level {level}; 0 is 4x4")
        self.stage.fill_(level)
        self.level = torch.tensor(level, dtype=torch.float32, device="cpu").item()  # as the state keeps it

    def finished(self, level: float) -> list[nn.Module]:
        """The parts that are not trained any more at a level."""
        return []

    @property
    def sizes(self) -> tuple[int, int, float]:
        """(resolution that is there, the one that is faded in, alpha); the two are the same where alpha is 0."""
        whole = int(self.level)
        return 4 << whole, 4 << (whole + (self.level > whole)), self.level - whole


def _read_level(module: Growing, _: object) -> None:
    module.level = module.stage.item()


def set_level(network: Module, level: float) -> None:
    """Of a whole network, where it is one that grows."""
    for module in network.modules():
        if isinstance(module, Growing):
            module.set_level(level)


def settle(network: Module, averaged: Module, level: float) -> None:
    """Parts whose training ends when a network rises to a level become those of its moving average.

    The average is what pictures are drawn with, and what a later stage has to work on.
    """
    for module, average in zip(network.modules(), averaged.modules(), strict=True):
        if isinstance(module, Growing) and isinstance(average, Growing) and not module.finished(module.level):
            for mine, other in zip(module.finished(level), average.finished(level), strict=True):
                mine.load_state_dict(other.state_dict())


def enlarged(images: Tensor, resolution: int) -> Tensor:
    """Each pixel becomes a square."""
    return F.interpolate(images, scale_factor=resolution // images.shape[2]) if resolution > images.shape[2] else images


def reduced(images: Tensor, resolution: int) -> Tensor:
    """Means of squares of pixels."""
    return F.avg_pool2d(images, images.shape[2] // resolution) if resolution < images.shape[2] else images


class GrowingSynthesis(SteeredSynthesis, Growing):
    """ws and heatmaps -> images [N, img_channels, R, R]; a subclass has `block(r, x, ws, features, noise)`.

    Beside its block every resolution has a 1x1 convolution to an image.
    """

    def __init__(self, config: GeneratorConfig):
        super().__init__(config)
        self.begin_level(config.img_resolution)
        self.to_rgb = nn.ModuleDict(
            {str(r): Conv2d(config.synthesis.channels(r), config.img_channels, 1) for r in self.resolutions}
        )

    def block(self, r: int, x: Tensor | None, ws: Tensor, features: dict[int, Tensor], noise: Noise) -> Tensor:
        """x [N, C, r/2, r/2], None for r = 4 -> [N, C', r, r]."""
        raise NotImplementedError

    def draw(self, ws: Tensor, features: dict[int, Tensor], noise: Noise, keep: Keep) -> Tensor:
        low, high, alpha = self.sizes
        x: Tensor | None = None
        images: dict[int, Tensor] = {}
        for r in self.resolutions:
            if r > high:
                break
            x = keep(self.block(r, x, ws, features, noise))
            if r in (low, high):
                images[r] = self.to_rgb[str(r)](x)
        image = images[low]
        if alpha > 0:
            image = torch.lerp(enlarged(image, high), images[high], alpha)
        return enlarged(image, self.resolutions[-1])


class GrowingDiscriminator(LayeredDiscriminator, Growing):
    """Images [N, img_channels, R, R] and labels [N, c_dim] -> logits, positive for real (Karras et al. 2018, table 2).

    A 1x1 convolution from the image and a block of two convolutions each resolution; the end is StyleGAN2's, which took
    it from here: minibatch standard deviation, a convolution, a linear layer.
    """

    def __init__(self, config: DiscriminatorConfig):
        super().__init__(config)
        self.begin_level(config.img_resolution)
        channels, act = config.channels, config.activation
        self.from_rgb = nn.ModuleDict(
            {str(r): Conv2d(config.img_channels, channels(r), 1, activation=act) for r in (*self.resolutions, 4)}
        )
        self.blocks = nn.ModuleDict({str(r): _DownBlock(r, config) for r in self.resolutions})
        cmap_dim = 0
        if config.c_dim > 0:
            cmap_dim = channels(4) if config.cmap_dim is None else config.cmap_dim
            self.mapping = MappingNetwork(0, config.c_dim, cmap_dim, config.mapping)
        self.epilogue = DiscriminatorEpilogue(cmap_dim, config.model_copy(update={"architecture": "orig"}))

    def forward(self, img: Tensor, c: Tensor | None = None, features: Collection[int] = ()) -> DiscriminatorOutput:
        """`features`: resolutions of block outputs to return, as far as they are there, from R/2 down to 4."""
        low, high, alpha = self.sizes
        img, kept = img.contiguous(memory_format=self.memory_format), {}
        x = self._seen(img, high)
        for r in self.resolutions:
            if r > high:
                continue
            x = self.blocks[str(r)](x)
            if r == high and alpha > 0:
                x = torch.lerp(self._seen(img, low), x, alpha)
            if r // 2 in features:
                kept[r // 2] = x
        cmap = self.mapping(None, c) if self.config.c_dim > 0 else None
        return DiscriminatorOutput(self.epilogue(x, None, cmap), kept)

    def _seen(self, img: Tensor, resolution: int) -> Tensor:
        return self.from_rgb[str(resolution)](reduced(img, resolution))

    def layers_from_image(self) -> Iterator[nn.Module]:
        for r in self.resolutions:
            yield from (self.from_rgb[str(r)], *self.blocks[str(r)].children())


class _DownBlock(nn.Module):
    """Two 3x3 convolutions, then half the size."""

    resample_filter: Tensor

    def __init__(self, r: int, config: DiscriminatorConfig):
        super().__init__()
        ci, co, act = config.channels(r), config.channels(r // 2), config.activation
        self.conv0 = Conv2d(ci, ci, 3, activation=act)
        self.conv1 = Conv2d(ci, co, 3, activation=act)
        self.register_buffer("resample_filter", setup_filter(list(config.resample_filter)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return downsample2d(self.conv1(self.conv0(x)), self.resample_filter)


def freezable_layers(config: DiscriminatorConfig) -> int:
    """How many layers GrowingDiscriminator.layers_from_image gives."""
    return 3 * (config.img_resolution.bit_length() - 3)
