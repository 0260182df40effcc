"""What several backbones are built from: a generator without a mapping network, heatmaps in front of a synthesis
network's blocks, label projection and frozen layers of a discriminator.
"""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from training.config import DiscriminatorConfig, GeneratorConfig, RunConfig
from training.layouts.layout import HeatmapSource
from training.networks.conditioning import check_layout, rows_of
from training.networks.spatial_encoding import HeatmapEncoder, make_encoding
from training.networks.synthesis import CONSTANT_NOISE, Noise

Keep = Callable[[Tensor], Tensor]  # notes the output of a block where that is asked for, and returns it
NO_LAYER_IN_FRONT = ("indoor", "flatten")  # encodings that only StyleGAN2's layers and mapping network can take


class SteeredSynthesis(nn.Module):
    """A synthesis network with a spatial encoding layer in front of some of its blocks.

    A subclass makes its own weights first and then calls `add_encoding`: a seed gives one network, steered or not. It
    has `draw`, which makes the images.
    """

    encoder: HeatmapEncoder | None

    def __init__(self, config: GeneratorConfig):
        super().__init__()
        self.memory_format = torch.contiguous_format
        self.resolutions = [2**k for k in range(2, config.img_resolution.bit_length())]
        self.is_layout_conditioned = config.encoding is not None

    def add_encoding(self, config: GeneratorConfig, widths: Mapping[int, int]) -> None:
        """`widths`: {r: channels} of the features [N, channels, r, r] that a layer may stand behind."""
        encoding = config.encoding
        if encoding is None:
            self.encoder, self.sel = None, nn.ModuleDict()
            return
        limit = encoding.max_resolution or config.img_resolution
        heard = {r: width for r, width in widths.items() if r <= limit}
        self.encoder = HeatmapEncoder(encoding, config.img_resolution)
        self.sel = nn.ModuleDict({str(r): make_encoding(width, r, encoding) for r, width in heard.items()})

    def forward(
        self,
        ws: Tensor,
        layout: HeatmapSource | None = None,
        noise: Noise = CONSTANT_NOISE,
        block_outputs: dict[int, Tensor] | None = None,
    ) -> Tensor:
        """ws [N, *w_shape] and a layout -> images [N, img_channels, R, R].

        `block_outputs`, where given, is filled with {r: features [N, C, r, r]} of the resolutions there are. Raises
        ValueError when a layout is missing or given to a network that takes none.
        """

        def keep(x: Tensor) -> Tensor:
            if block_outputs is not None:
                block_outputs[x.shape[2]] = x
            return x

        return self.draw(ws, self.heard(layout), noise, keep)

    def draw(self, ws: Tensor, features: dict[int, Tensor], noise: Noise, keep: Keep) -> Tensor:
        """The images, for the heatmap features {r: [N, F, r, r]} that `steered` takes; every block's output is kept."""
        raise NotImplementedError

    def heard(self, layout: HeatmapSource | None) -> dict[int, Tensor]:
        """{r: heatmap features} for the layers there are. Raises ValueError for a missing or unheard layout."""
        check_layout(layout, self.is_layout_conditioned)
        if layout is None or self.encoder is None:
            return {}
        places = [(int(r), int(r)) for r in self.sel]
        return {r: found for (_, r), found in self.encoder(layout, places).items()}

    def steered(self, x: Tensor, features: Mapping[int, Tensor]) -> Tensor:
        """x [N, C, r, r] after the encoding layer of resolution r, where there is one."""
        r = x.shape[2]
        return self.sel[str(r)](x, features[r]) if r in features else x


class PlainGenerator(nn.Module):
    """z [N, z_dim], c [N, c_dim] and a layout -> images: the one "w" of an image is its latent, followed by its label.

    `synthesis`: made from the GeneratorConfig.
    """

    takes_layout_in_latent = False

    def __init__(self, config: GeneratorConfig, synthesis: nn.Module):
        super().__init__()
        self.config, self.synthesis = config, synthesis
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
        """ws [N, 1, z_dim + c_dim].

        Raises ValueError when asked to truncate, as there is no mean style, and where labels are missing.
        """
        if truncation_psi != 1:
            raise ValueError("this generator has no mean style to truncate towards")
        c_dim = self.config.c_dim
        w = z if c_dim == 0 else torch.cat([z, rows_of("c", c, c_dim).to(z.dtype)], dim=1)
        return w[:, None]

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


class LayeredDiscriminator(nn.Module):
    """A discriminator that says which layers it has, `layers_from_image`, so that the first of them can be frozen."""

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        self.config = config
        self.memory_format = torch.contiguous_format
        self.resolutions = [2**k for k in range(config.img_resolution.bit_length() - 1, 2, -1)]

    def layers_from_image(self) -> Iterator[nn.Module]:
        """Those before the layers that give the logit."""
        raise NotImplementedError

    def freeze_layers(self, count: int) -> None:
        """Stop the first `count` layers, counted from the image, from learning (Mo et al. 2020, Freeze-D)."""
        for layer in list(self.layers_from_image())[:count]:
            layer.requires_grad_(False)


def projected(embedding: Tensor, features: Tensor) -> Tensor:
    """What a label adds to a logit, [N, 1]: the product of its embedding with features [N, C] (Miyato and Koyama)."""
    return (embedding * features).sum(1, keepdim=True)


def check_plain(config: RunConfig) -> None:
    """Raises ValueError, in one line, for what a backbone without StyleGAN2's layers and mapping network cannot do."""
    check_encoding(config)
    if config.loss.pl_weight > 0:
        name = config.generator.backbone
        raise ValueError(f"loss.pl_weight must be 0 with backbone {name}, which has no mapping network")


def check_encoding(config: RunConfig) -> None:
    """Raises ValueError, in one line, for an encoding that is no layer in front of a convolution."""
    encoding, name = config.generator.encoding, config.generator.backbone
    if encoding is not None and encoding.layer in NO_LAYER_IN_FRONT:
        raise ValueError(f"backbone {name} has no encoding layer {encoding.layer}; use norm or concat")
