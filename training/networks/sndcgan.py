"""SN-DCGAN (Miyato et al. 2018, "standard CNN"), with heatmaps: the second backbone (EqGAN-SA, table 2).

Both networks take and give what those of StyleGAN2 do, so that losses, training and sampling are the same. There is no
mapping network: the one "w" of an image is its latent, followed by its label.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from training.config import DiscriminatorConfig, EncodingConfig, GeneratorConfig, RunConfig
from training.layouts.layout import HeatmapSource
from training.networks.backbones import BACKBONES, Backbone
from training.networks.conditioning import check_layout
from training.networks.discriminator import DiscriminatorOutput
from training.networks.spatial_encoding import HeatmapEncoder, make_encoding
from training.networks.synthesis import CONSTANT_NOISE, Noise

SLOPE = 0.1  # of the leaky relus in the discriminator


class DCGANGenerator(nn.Module):
    """z [N, z_dim], c [N, c_dim] and a layout -> images [N, img_channels, R, R] in [-1, 1]."""

    takes_layout_in_latent = False

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        self.config = config
        self.synthesis = DCGANSynthesis(config)
        self.num_ws = 1
        self.w_shape = (1, config.z_dim + config.c_dim)

    def styles(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        update_w_avg: bool | int = False,
        layout: HeatmapSource | None = None,
    ) -> Tensor:
        """ws [N, 1, z_dim + c_dim]. Raises ValueError when asked to truncate: there is no mean style."""
        if truncation_psi != 1:
            raise ValueError("SN-DCGAN has no mean style to truncate towards")
        w = z if c is None or self.config.c_dim == 0 else torch.cat([z, c.to(z.dtype)], dim=1)
        return w[:, None]  # [N, 1, z_dim + c_dim]

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        layout: HeatmapSource | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise: Noise = CONSTANT_NOISE,
    ) -> Tensor:
        return self.synthesis(self.styles(z, c, truncation_psi, truncation_cutoff), layout, noise)


class DCGANSynthesis(nn.Module):
    """ws [N, 1, z_dim + c_dim] and heatmaps -> images: 4x4, then doubled up to R; SEL in front of each doubling."""

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        self.z_dim, self.c_dim = config.z_dim, config.c_dim
        channels, encoding = config.synthesis.channels, config.encoding
        self.memory_format = torch.contiguous_format
        self.resolutions = [2**k for k in range(2, config.img_resolution.bit_length())]
        self.is_layout_conditioned = encoding is not None
        self.first = nn.Linear(config.z_dim, channels(4) * 16)
        self.blocks = nn.ModuleDict(
            {str(r): _UpBlock(channels(r), channels(2 * r), config.c_dim) for r in self.resolutions[:-1]}
        )
        self.last = nn.Conv2d(channels(self.resolutions[-1]), config.img_channels, 3, padding=1)
        _draw_weights(self)
        self.encoder = HeatmapEncoder(encoding, config.img_resolution) if encoding else None
        self.sel = nn.ModuleDict({} if encoding is None else self._encodings(encoding, channels))

    def _encodings(self, encoding: EncodingConfig, channels: Callable[[int], int]) -> dict[str, nn.Module]:
        """The encoding layers by the resolution of the feature that they change."""
        limit = encoding.max_resolution or self.resolutions[-1]
        return {str(r): make_encoding(channels(r), r, encoding) for r in self.resolutions[:-1] if r <= limit}

    def forward(
        self,
        ws: Tensor,
        layout: HeatmapSource | None = None,
        noise: Noise = CONSTANT_NOISE,
        block_outputs: dict[int, Tensor] | None = None,
    ) -> Tensor:
        """`block_outputs`, where given, is filled with {r: features [N, C, r, r]} of every resolution r.

        `noise` is not used. Raises ValueError when a layout is missing or given to a network that takes none."""
        check_layout(layout, self.is_layout_conditioned)
        z, c = ws[:, 0].split([self.z_dim, self.c_dim], dim=1)
        places = [(int(r), int(r)) for r in self.sel]
        features = {} if layout is None or self.encoder is None else self.encoder(layout, places)
        x = self.first(z).unflatten(1, (-1, 4, 4)).contiguous(memory_format=self.memory_format)  # [N, C, 4, 4]
        if block_outputs is not None:
            block_outputs[4] = x
        for r, block in self.blocks.items():
            if r in self.sel:
                x = self.sel[r](x, features[int(r), int(r)])
            x = block(x, c)
            if block_outputs is not None:
                block_outputs[2 * int(r)] = x
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


class SNDiscriminator(nn.Module):
    """Images [N, img_channels, R, R] and labels [N, c_dim] -> logits, positive for real.

    Every layer is spectrally normalized; a label enters by projection (Miyato and Koyama 2018). Power iterations go on
    only where gradients are wanted: scoring pictures for a metric leaves the network as it is.
    """

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        self.config = config
        self.memory_format = torch.contiguous_format
        channels = config.channels
        self.resolutions = [2**k for k in range(config.img_resolution.bit_length() - 1, 2, -1)]
        inputs = [config.img_channels, *(channels(r) for r in self.resolutions)]
        self.blocks = nn.ModuleDict(
            {str(r): _DownBlock(ci, channels(r)) for ci, r in zip(inputs, self.resolutions, strict=False)}
        )
        self.conv = nn.Conv2d(inputs[-1], channels(4), 3, padding=1)
        self.out = nn.Linear(channels(4) * 16, 1)
        self.label = nn.Linear(config.c_dim, channels(4), bias=False) if config.c_dim > 0 else None
        _draw_weights(self)
        for layer in self._layers():
            spectral_norm(layer)

    def forward(self, img: Tensor, c: Tensor | None = None, features: Collection[int] = ()) -> DiscriminatorOutput:
        """`features`: resolutions of block outputs to return, from R/2 down to 4."""
        with _settled(self):
            return self._run(img, c, features)

    def _run(self, img: Tensor, c: Tensor | None, features: Collection[int]) -> DiscriminatorOutput:
        x, kept = img.contiguous(memory_format=self.memory_format), {}
        for r in self.resolutions:
            x = self.blocks[str(r)](x)
            if r // 2 in features:
                kept[r // 2] = x
        x = F.leaky_relu(self.conv(x), SLOPE)
        logits = self.out(x.flatten(1))
        if self.label is not None and c is not None:
            logits = logits + (self.label(c.to(x.dtype)) * x.sum((2, 3))).sum(1, keepdim=True)
        return DiscriminatorOutput(logits, kept)

    def freeze_layers(self, count: int) -> None:
        """Stop the first `count` layers from learning, counted from the image (Mo et al. 2020, Freeze-D)."""
        for layer in self._layers()[:count]:
            layer.requires_grad_(False)

    def _layers(self) -> list[nn.Module]:
        blocks = (cast(_DownBlock, self.blocks[str(r)]) for r in self.resolutions)
        in_blocks = [layer for block in blocks for layer in (block.conv0, block.conv1)]
        return [layer for layer in (*in_blocks, self.conv, self.out, self.label) if layer is not None]


class _DownBlock(nn.Module):
    """A 3x3 convolution, and a 4x4 one that halves the size."""

    def __init__(self, ci: int, co: int):
        super().__init__()
        self.conv0 = nn.Conv2d(ci, co, 3, padding=1)
        self.conv1 = nn.Conv2d(co, co, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.conv0(x), SLOPE)
        return F.leaky_relu(self.conv1(x), SLOPE)


@contextmanager
def _settled(network: nn.Module) -> Iterator[None]:
    """In evaluation mode where no gradients are wanted."""
    training = network.training
    network.train(training and torch.is_grad_enabled())
    try:
        yield
    finally:
        network.train(training)


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

    @staticmethod
    def check(config: RunConfig) -> None:
        encoding = config.generator.encoding
        if encoding is not None and encoding.layer in ("indoor", "flatten"):
            raise ValueError(f"backbone sndcgan has no encoding layer {encoding.layer}; use norm or concat")
        if config.loss.pl_weight > 0:
            raise ValueError("loss.pl_weight must be 0 with backbone sndcgan, which has no mapping network")

    @staticmethod
    def freezable_layers(config: DiscriminatorConfig) -> int:
        return 2 * (config.img_resolution.bit_length() - 3) + 1
