"""The generator: latents, labels and a layout to images."""

import torch
from torch import Tensor, nn

from training.config import GeneratorConfig
from training.mapping import MappingNetwork, truncate
from training.spatial_encoding import HeatmapSource
from training.synthesis import CONSTANT_NOISE, Noise, SynthesisNetwork


class Generator(nn.Module):
    """z [N, z_dim], c [N, c_dim] and a layout -> images [N, img_channels, R, R], roughly in [-1, 1]."""

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        self.config = config
        self.mapping = MappingNetwork(config.z_dim, config.c_dim, config.w_dim, config.mapping)
        self.synthesis = SynthesisNetwork(
            config.w_dim, config.img_resolution, config.img_channels, config.synthesis, config.encoding
        )
        self.num_ws = self.synthesis.num_ws

    def styles(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        update_w_avg: bool = False,
    ) -> Tensor:
        """ws [N, num_ws, w_dim]: one w for all layers, pulled towards the mean by truncation."""
        w = self.mapping(z, c, update_w_avg=update_w_avg)
        ws = w[:, None, :].repeat(1, self.num_ws, 1)
        if truncation_psi == 1:
            return ws
        return truncate(ws, self.mapping.w_avg, truncation_psi, truncation_cutoff)

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


def set_memory_format(network: nn.Module, channels_last: bool) -> None:
    """Choose how a generator or discriminator keeps its feature maps; results stay the same up to rounding."""
    chosen = torch.channels_last if channels_last else torch.contiguous_format
    network.to(memory_format=chosen)
    for module in network.modules():
        if hasattr(module, "memory_format"):
            module.memory_format = chosen
