"""The generator: latents, labels and a layout to images."""

from typing import Any

import torch
from torch import Tensor, nn

from training.config import GeneratorConfig
from training.layouts.layout import HeatmapSource, flattened, registered
from training.networks.backbones import Module
from training.networks.mapping import MappingNetwork, truncate
from training.networks.synthesis import CONSTANT_NOISE, Noise, SynthesisNetwork


class Generator(nn.Module):
    """z [N, z_dim], c [N, c_dim] and a layout -> images [N, img_channels, R, R], roughly in [-1, 1].

    With SEL_indoor an image has n + 1 latents, z [N, n + 1, z_dim]: those of its objects, then the background's.
    """

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        self.config = config
        flat = 0 if config.encoding is None else config.encoding.flat_features
        self.takes_layout_in_latent = flat > 0
        self.mapping = MappingNetwork(config.z_dim + flat, config.c_dim, config.w_dim, config.mapping)
        self.synthesis = self.make_synthesis()
        self.num_ws: int = self.synthesis.num_ws
        self.w_shape: tuple[int, ...] = self.synthesis.w_shape

    def make_synthesis(self) -> Any:
        """What makes images from ws; a subclass may have another one."""
        config = self.config
        return SynthesisNetwork(
            config.w_dim, config.img_resolution, config.img_channels, config.synthesis, config.encoding
        )

    def styles(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        update_w_avg: bool | int = False,
        layout: HeatmapSource | None = None,
    ) -> Tensor:
        """ws [N, num_ws, w_dim]: one w for all layers, pulled towards the mean by truncation.

        `update_w_avg`: whether the mean follows; a number: that of the first so many z. For z [N, n + 1, z_dim], ws are
        [N, num_ws, n + 1, w_dim]; all codes share the mapping and its mean. `layout` is
        looked at only by a generator that takes it flattened, as a part of the latent.
        """
        if self.takes_layout_in_latent:
            if layout is None or self.config.encoding is None:
                raise ValueError("this network takes a layout as a part of its latent")
            pixels = flattened(registered(layout, self.config.encoding.registration))  # [N, 336]
            z = torch.cat([z, pixels], dim=1)
        w = self._map(z, c, update_w_avg)  # [N, (codes,) w_dim]
        ws = w[:, None].repeat(1, self.num_ws, *[1] * (w.ndim - 1))  # [N, num_ws, (codes,) w_dim]
        if truncation_psi == 1:
            return ws
        return truncate(ws, self.mapping.w_avg, truncation_psi, truncation_cutoff)

    def _map(self, z: Tensor, c: Tensor | None, update_w_avg: bool | int) -> Tensor:
        """w [N, w_dim], or [N, codes, w_dim] for z [N, codes, z_dim]; the codes of an image share its label."""
        if z.ndim == 2:
            return self.mapping(z, c, update_w_avg=update_w_avg)
        labels = None if c is None else c.repeat_interleave(z.shape[1], 0)
        rows = update_w_avg if isinstance(update_w_avg, bool) else update_w_avg * z.shape[1]
        return self.mapping(z.flatten(0, 1), labels, update_w_avg=rows).unflatten(0, z.shape[:2])  # [N, codes, w_dim]

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        layout: HeatmapSource | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise: Noise = CONSTANT_NOISE,
    ) -> Tensor:
        ws = self.styles(z, c, truncation_psi, truncation_cutoff, layout=layout)
        return self.synthesis(ws, layout, noise)


def set_memory_format(network: Module, channels_last: bool) -> None:
    """Choose how a generator or discriminator keeps its feature maps; results stay the same up to rounding."""
    chosen = torch.channels_last if channels_last else torch.contiguous_format
    network.to(memory_format=chosen)
    for module in network.modules():
        if hasattr(module, "memory_format"):
            vars(module)["memory_format"] = chosen
