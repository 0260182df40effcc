"""How a synthesis network is conditioned on layouts: which of its layers, and each with what.

A layer gets its conditioning when it is built: nothing, a spatial encoding layer that changes its input by features of
the heatmaps (SEL_norm, SEL_concat, or one of your own), or styles of the objects (SEL_indoor).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from training.config import EncodingConfig
from training.layouts.layout import HeatmapSource
from training.networks.sel_indoor import ObjectAffine
from training.networks.spatial_encoding import HeatmapEncoder, make_encoding

Place = tuple[int, int]  # (block, size of the layer's input)
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class LayerConditioning:
    """What one layer is built with; at most one of the first two."""

    sel: nn.Module | None = None
    objects: ObjectAffine | None = None
    demodulation: str = "mean"  # with objects: see modulated_conv2d_by_map


UNCONDITIONED = LayerConditioning()


class Conditioning:
    """That of a network with blocks at `resolutions`; `encoding` None: it takes no layout.

    blocks: resolutions of the blocks whose layers are conditioned. codes: whether objects have codes of their own.
    """

    def __init__(self, encoding: EncodingConfig | None, resolutions: Sequence[int], w_dim: int):
        self._encoding, self._w_dim = encoding, w_dim
        self._modules: list[nn.Module] = []
        self.is_layout_conditioned = encoding is not None
        self.has_objects = encoding is not None and encoding.layer == "indoor"
        # A flattened layout is a part of the latent (training/networks/generator.py), no layer knows of it.
        self.has_encoder = encoding is not None and encoding.layer not in ("indoor", "flatten")
        limit = (encoding.max_resolution or max(resolutions)) if encoding is not None else 0
        self.blocks = [r for r in resolutions if r <= limit and (self.has_objects or self.has_encoder)]

    def of_layer(self, block: int, channels: int) -> LayerConditioning:
        """For a layer with so many input channels in the block of that resolution."""
        encoding = self._encoding
        if encoding is None or block not in self.blocks:
            return UNCONDITIONED
        if self.has_objects:
            objects = self._made(lambda: ObjectAffine(self._w_dim, channels))
            return LayerConditioning(objects=objects, demodulation=encoding.demodulation)
        return LayerConditioning(sel=self._made(lambda: make_encoding(channels, block, encoding)))

    def make_encoder(self, img_resolution: int) -> HeatmapEncoder | None:
        """What turns heatmaps into the features that spatial encoding layers take."""
        if self._encoding is None or not self.has_encoder:
            return None
        return HeatmapEncoder(self._encoding, img_resolution)

    def draw_weights(self) -> None:
        """Draw the weights of all conditioning, after those of the network: a seed gives one backbone whatever the
        conditioning."""
        for module in self._modules:
            for layer in module.modules():
                if callable(reset := getattr(layer, "reset_parameters", None)):
                    reset()

    def _made(self, make: Callable[[], M]) -> M:
        with torch.random.fork_rng(devices=[]):
            made = make()
        self._modules.append(made)
        return made


def check_layout(layout: HeatmapSource | None, is_layout_conditioned: bool) -> None:
    """Raises ValueError when a network that is conditioned on layouts gets none, or another one gets one."""
    if (layout is None) == is_layout_conditioned:
        wanted = "needs a layout" if is_layout_conditioned else "is not conditioned on a layout"
        raise ValueError(f"this network {wanted}")


def rows_of(name: str, value: Tensor | None, width: int) -> Tensor:
    """`value`. Raises ValueError where it is not [N, width]."""
    if value is None or value.ndim != 2 or value.shape[1] != width:
        raise ValueError(f"{name} must be [N, {width}], not {None if value is None else list(value.shape)}")
    return value


def layer_inputs(
    layout: HeatmapSource, encoder: HeatmapEncoder | None, places: Iterable[Place]
) -> dict[Place, Tensor]:
    """What conditioned layers take: features of the heatmaps or, without an encoder, the heatmaps [N, n, r, r]."""
    places = list(places)
    if encoder is not None:
        return encoder(layout, places)
    heatmaps = {size: layout.heatmaps(0, size, floor=0.0) for _, size in places}
    return {(block, size): heatmaps[size] for block, size in places}
