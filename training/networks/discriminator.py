"""The discriminator (Karras et al. 2020), which can hand out the features that its attention is read from."""

from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dnnlib.words import counted
from torch_utils.ops import downsample2d, setup_filter
from training.config import DiscriminatorConfig
from training.networks.layers import Conv2d, Linear, scaled_together
from training.networks.mapping import MappingNetwork
from training.networks.precision import MixedPrecision


class DiscriminatorOutput(NamedTuple):
    """logits [N, 1], or [N, K] of K patches, and {resolution: block output [N, C, resolution, resolution]} where asked
    for."""

    logits: Tensor
    features: dict[int, Tensor]


class Discriminator(MixedPrecision):
    """Images [N, img_channels, R, R] and labels [N, c_dim] -> logits, positive for real."""

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        self.config = config
        self.memory_format = torch.contiguous_format
        self.resolutions = [2**k for k in range(config.img_resolution.bit_length() - 1, 2, -1)]
        self.set_half(self.resolutions, config.num_fp16_res, config.half_type)
        self.blocks = nn.ModuleDict({str(r): DiscriminatorBlock(r, config) for r in self.resolutions})
        cmap_dim = 0
        if config.c_dim > 0:
            cmap_dim = config.channels(4) if config.cmap_dim is None else config.cmap_dim
            self.mapping = MappingNetwork(0, config.c_dim, cmap_dim, config.mapping)
        self.epilogue = DiscriminatorEpilogue(cmap_dim, config)

    def forward(self, img: Tensor, c: Tensor | None = None, features: Collection[int] = ()) -> DiscriminatorOutput:
        """`features`: resolutions of block outputs to return, from R/2 down to 4."""
        wide = torch.promote_types(img.dtype, torch.float32)
        parts = [*((self.blocks[str(r)], self.type_at(r, img)) for r in self.resolutions), (self.epilogue, wide)]
        with scaled_together(parts):
            return self._run(img, c, features)

    def _run(self, img: Tensor, c: Tensor | None, features: Collection[int]) -> DiscriminatorOutput:
        x, kept, given = None, {}, img
        img = img.contiguous(memory_format=self.memory_format)
        for r in self.resolutions:
            x, img = self.blocks[str(r)](x, img, self.type_at(r, given))
            if r // 2 in features:
                kept[r // 2] = x
        cmap = self.mapping(None, c) if self.config.c_dim > 0 else None
        return DiscriminatorOutput(self.epilogue(x, img, cmap), kept)

    def freeze_layers(self, count: int) -> None:
        """Stop the first `count` layers from learning, counted from the image (Mo et al. 2020, Freeze-D)."""
        for layer in self._layers()[:count]:
            layer.requires_grad_(False)

    def _layers(self) -> list[nn.Module]:
        order = ("from_rgb", "conv0", "conv1", "skip")
        in_blocks = [getattr(b, name) for b in self.blocks.values() for name in order if getattr(b, name) is not None]
        return in_blocks


class DiscriminatorBlock(nn.Module):
    """Two convolutions, the second halving the size."""

    resample_filter: Tensor

    def __init__(self, resolution: int, config: DiscriminatorConfig):
        super().__init__()
        ci, co = config.channels(resolution), config.channels(resolution // 2)
        self.architecture = config.architecture
        is_first = resolution == config.img_resolution
        common: dict[str, Any] = {"activation": config.activation, "clamp": config.conv_clamp}
        down: dict[str, Any] = {"down": 2, "resample_filter": config.resample_filter}
        has_rgb = is_first or self.architecture == "skip"
        self.from_rgb = Conv2d(config.img_channels, ci, 1, **common) if has_rgb else None
        self.conv0 = Conv2d(ci, ci, 3, **common)
        self.conv1 = Conv2d(ci, co, 3, **common, **down)
        self.skip = Conv2d(ci, co, 1, bias=False, gain=0.5**0.5, **down) if self.architecture == "resnet" else None
        self.register_buffer("resample_filter", setup_filter(list(config.resample_filter)), persistent=False)

    def forward(self, x: Tensor | None, img: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        """x [N, ci, r, r] (None in the first block), img [N, img_channels, r, r] -> x and img at r/2."""
        x = None if x is None else x.to(dtype)
        if self.from_rgb is not None and img is not None:
            rgb = self.from_rgb(img.to(dtype))  # [N, ci, r, r]
            x = rgb if x is None else x + rgb
            img = downsample2d(img, self.resample_filter) if self.architecture == "skip" else None
        if self.skip is None:
            return self.conv1(self.conv0(x)), img
        shortcut = self.skip(x)
        return self.conv1(self.conv0(x), gain=0.5**0.5) + shortcut, img


class DiscriminatorEpilogue(nn.Module):
    """Features at 4x4 -> logits, with minibatch standard deviation and label projection."""

    def __init__(self, cmap_dim: int, config: DiscriminatorConfig):
        super().__init__()
        channels = config.channels(4)
        self.group_size, self.std_channels = config.mbstd_group_size, config.mbstd_num_channels
        common: dict[str, Any] = {"activation": config.activation}
        is_skip = config.architecture == "skip"
        self.from_rgb = Conv2d(config.img_channels, channels, 1, **common) if is_skip else None
        self.conv = Conv2d(channels + self.std_channels, channels, 3, clamp=config.conv_clamp, **common)
        self.fc = Linear(channels * 16, channels, **common)
        self.out = Linear(channels, cmap_dim or 1)

    def extra_repr(self) -> str:
        if not self.std_channels:
            return ""
        group = "the batch" if self.group_size is None else self.group_size
        return f"{counted(self.std_channels, 'channel')} of deviation within groups of {group}"

    def forward(self, x: Tensor, img: Tensor | None, cmap: Tensor | None) -> Tensor:
        """x [N, channels, 4, 4], with "skip" img [N, img_channels, 4, 4], label projection cmap -> logits [N, 1]."""
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        if self.from_rgb is not None and img is not None:
            x = x + self.from_rgb(img.to(x.dtype))
        if self.std_channels > 0:
            x = minibatch_std(x, self.group_size, self.std_channels)
        x = self.out(self.fc(self.conv(x).flatten(1)))  # [N, channels * 16] -> [N, channels] -> [N, cmap_dim or 1]
        return x if cmap is None else (x * cmap).sum(1, keepdim=True) * cmap.shape[1] ** -0.5


def minibatch_std(x: Tensor, group_size: int | None, num_channels: int) -> Tensor:
    """Append the mean standard deviation within groups of samples (Karras et al. 2018, section 3).

    x [N, C, H, W] -> [N, C + num_channels, H, W]. Sample n is in group n mod (N / G). Raises ValueError when N is no
    multiple of the group size G = min(group_size, N).
    """
    count, channels, height, width = x.shape
    size = min(group_size or count, count)
    if count % size:
        raise ValueError(f"minibatch std: {counted(count, 'sample')} cannot be divided into groups of {size}")
    grouped = x.reshape(size, count // size, num_channels, channels // num_channels, height, width)  # G first
    variance = (grouped - grouped.mean(0)).square().mean(0)  # [N / G, num_channels, channels / num_channels, H, W]
    std = (variance + 1e-8).sqrt().mean((2, 3, 4))  # [N / G, num_channels]
    plane = std.repeat(size, 1)[:, :, None, None].expand(-1, -1, height, width)  # [N, num_channels, H, W]
    return torch.cat([x, plane], dim=1)
