"""How the generator is conditioned on layouts: heatmap features, and spatial encoding layers in front of a convolution.

SEL_norm and SEL_concat change a feature by what the heatmaps say (docs/method.md, section 3). SEL_indoor is no such
layer: there heatmaps and styles enter together, see training/networks/sel_indoor.py.
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnnlib.registry import Registry
from torch_utils import ops
from torch_utils.devices import device_kind
from training.config import EncodingConfig
from training.layouts.layout import LEVEL_RESOLUTIONS, HeatmapSource, registered
from training.layouts.registration import resize
from training.networks.layers import Conv2d

FEATURES = 32  # channels of one level's heatmap features

# Modules made by (channels, heatmap_channels, EncodingConfig), which map a feature [N, channels, h, w] and heatmap
# features [N, heatmap_channels, h', w'] to a feature of the same shape.
ENCODINGS: Registry[type[nn.Module]] = Registry("spatial encoding layer", home="training.networks.spatial_encoding")


def is_encoding(parameter: str) -> bool:
    """Whether a generator's parameter of this name is of its heatmap encoder or of a spatial encoding layer."""
    return parameter.startswith("synthesis.encoder.") or bool({"sel", "objects"} & set(parameter.split(".")))


class HeatmapEncoder(nn.Module):
    """Heatmaps of the levels -> features for every layer: two 3x3 convolutions a level (n -> 16 -> 32).

    Blocks at 4, 8, 16 get levels 0, 1, 2; blocks above get all three (96 channels, the released layout). Where there
    is a single level, every block gets it. `kernel_size` and `dilation` widen what a feature sees of its heatmap.
    Coarse mode (SpatialGAN, "coarse heatmap processing") renders at the layer's size and convolves there; fine
    mode convolves at image size, and the layer resizes.
    """

    def __init__(self, config: EncodingConfig, img_resolution: int):
        super().__init__()
        self.coarse, self.registration = config.mode == "coarse", config.registration
        self.img_resolution = img_resolution
        self.levels = nn.ModuleList(_LevelEncoder(n, config) for n in config.counts)

    def extra_repr(self) -> str:
        size = "the layer's size" if self.coarse else f"{self.img_resolution}x{self.img_resolution}"
        return f"heatmaps convolved at {size}"

    @staticmethod
    def channels(block: int, num_levels: int = 3) -> int:
        """Feature channels that a block of resolution `block` gets of so many levels."""
        return FEATURES * len(_levels_of(block, num_levels))

    def forward(self, source: HeatmapSource, layers: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Tensor]:
        """Features [N, channels(block), r, r] for each (block, r) in `layers`, r the size of a layer's input."""
        made: dict[tuple[int, int], Tensor] = {}
        R, source = self.img_resolution, registered(source, self.registration)

        def features(level: int, r: int) -> Tensor:
            if (level, r) not in made:
                made[level, r] = self.levels[level](source.heatmaps(level, r))
            return made[level, r]

        def features_of(block: int, r: int) -> Tensor:
            return _join([features(level, r if self.coarse else R) for level in _levels_of(block, len(self.levels))])

        return {(block, r): features_of(block, r) for block, r in layers}


class _LevelEncoder(nn.Module):
    def __init__(self, count: int, config: EncodingConfig):
        super().__init__()
        common: dict[str, Any] = {"kernel_size": config.kernel_size, "dilation": config.dilation, "activation": "lrelu"}
        self.conv0 = Conv2d(count, FEATURES // 2, **common)
        self.conv1 = Conv2d(FEATURES // 2, FEATURES, **common)

    def forward(self, heatmaps: Tensor) -> Tensor:
        return self.conv1(self.conv0(heatmaps), gain=0.5**0.5)


@ENCODINGS.register("norm")
class SpatialEncoding(nn.Module):
    """SEL_norm(F, H) = F + 0.1 conv(lrelu(IN(F) (1 + sigma(H)) + mu(H))) (SpatialGAN, equation 2, as released).

    sigma and mu are maps of one channel; IN is instance normalisation without affine parameters.
    """

    def __init__(self, channels: int, heatmap_channels: int, config: EncodingConfig):
        super().__init__()
        hidden = config.hidden_channels
        self.residual_scale, self.registration = config.residual_scale, config.registration
        self.shared = Conv2d(heatmap_channels, hidden, 3, activation="lrelu")
        self.sigma = Conv2d(hidden, 1, 3)
        self.mu = Conv2d(hidden, 1, 3)
        self.output = Conv2d(channels, channels, 3)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """x [N, C, h, w] and heatmap features [N, heatmap_channels, *, *] -> [N, C, h, w]."""
        shared = self.shared(resize(features, x.shape[2], self.registration).to(x.dtype))
        sigma, mu = self._maps(shared)
        inner = F.leaky_relu(torch.addcmul(mu, instance_norm(x), 1 + sigma), 0.2)
        return x + self.output(inner, gain=self.residual_scale)

    def extra_repr(self) -> str:
        return f"F + {self.residual_scale:g} conv(...)"

    def _maps(self, shared: Tensor) -> tuple[Tensor, Tensor]:
        """sigma and mu [N, 1, h, w], on a GPU by one convolution."""
        if not ops.takes_gain_late(shared):
            return self.sigma(shared), self.mu(shared)
        both = self.sigma, self.mu
        weight = torch.cat([conv.scaled("weight", conv.weight_gain, shared.dtype) for conv in both])
        bias = torch.cat([conv.bias for conv in both if conv.bias is not None])
        sigma, mu = ops.bias_act(ops.conv2d_resample(shared, weight, padding=1), bias).chunk(2, dim=1)
        return sigma, mu


@ENCODINGS.register("concat")
class ConcatEncoding(nn.Module):
    """SEL_concat(F, H) = F + 0.1 conv(lrelu(conv(lrelu(conv([F, lrelu(conv H)]))))) (EqGAN-SA's supplement, section B).

    Takes and gives what SpatialEncoding does.
    """

    def __init__(self, channels: int, heatmap_channels: int, config: EncodingConfig):
        super().__init__()
        hidden, between = config.hidden_channels, config.concat_channels
        self.residual_scale, self.registration = config.residual_scale, config.registration
        self.shared = Conv2d(heatmap_channels, hidden, 3, activation="lrelu")
        self.conv0 = Conv2d(channels + hidden, between, 3, activation="lrelu")
        self.conv1 = Conv2d(between, channels, 3, activation="lrelu")
        self.output = Conv2d(channels, channels, 3)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        shared = self.shared(resize(features, x.shape[2], self.registration).to(x.dtype))
        inner = self.conv1(self.conv0(torch.cat([x, shared], dim=1)))  # [N, C + hidden, h, w] -> [N, C, h, w]
        return x + self.output(inner, gain=self.residual_scale)


def make_encoding(channels: int, block: int, config: EncodingConfig) -> nn.Module:
    """The encoding layer for a feature of so many channels, in the block of that resolution.

    Raises UserError when config.layer is no registered one.
    """
    return ENCODINGS[config.layer](channels, HeatmapEncoder.channels(block, len(config.counts)), config)


def instance_norm(x: Tensor, eps: float = 1e-5) -> Tensor:
    """Zero mean and unit (biased) variance over height and width of [N, C, h, w].

    PyTorch's own is several times slower for channels_last on the CPU; on a GPU it takes a third of the launches.
    """
    if device_kind(x) == "cuda" and ops.chosen() != "reference":
        return F.group_norm(x, x.shape[1], eps=eps)  # a group for each channel
    centered = x - x.mean((2, 3), keepdim=True)
    return centered * torch.rsqrt(centered.square().mean((2, 3), keepdim=True) + eps)


def _levels_of(block: int, num_levels: int) -> tuple[int, ...]:
    if block in LEVEL_RESOLUTIONS:
        return (min(LEVEL_RESOLUTIONS.index(block), num_levels - 1),)
    return tuple(range(num_levels))


def _join(features: list[Tensor]) -> Tensor:
    return features[0] if len(features) == 1 else torch.cat(features, dim=1)
