"""What the passes of a training step are made from: latents, labels, layouts, style mixing, and real images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from torch_utils.randomness import RandomStreams
from training.config import RunConfig
from training.layouts.layout import Layout
from training.layouts.samplers import sample_layout
from training.networks.backbones import GeneratorNetwork


@dataclass(frozen=True)
class Mixing:
    """Style mixing (Karras et al. 2019, section 3.1): from layer `crossover` [N, 1, 1] on, the w of a second z.

    Each of several codes of an image, [N, 1, codes, 1], is mixed, or not, by itself.
    """

    z: Tensor
    crossover: Tensor  # num_ws where a sample is not mixed

    def __getitem__(self, index: slice) -> "Mixing":
        return Mixing(self.z[index], self.crossover[index])


@dataclass(frozen=True)
class Inputs:
    """What G makes images from: latents, labels, layouts, and second latents for style mixing."""

    z: Tensor
    c: Tensor
    layout: Layout | None = None
    mixing: Mixing | None = None

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, index: slice) -> "Inputs":
        layout = None if self.layout is None else self.layout[index]
        mixing = None if self.mixing is None else self.mixing[index]
        return Inputs(self.z[index], self.c[index], layout, mixing)


@dataclass(frozen=True)
class Batch:
    """One pass of one phase: inputs for G (None: the phase has none), real images in [-1, 1] and labels for D.

    passes: how many make up the phase.
    """

    inputs: Inputs | None
    real_images: Tensor
    real_c: Tensor
    passes: int = 1

    def speed(self, decay: float) -> float:
        """Of a moving mean in one pass, so that all of them move it as far as one pass would by `decay`."""
        return decay if self.passes == 1 else 1 - (1 - decay) ** (1 / self.passes)

    @property
    def for_G(self) -> Inputs:
        """The inputs, in a phase that generates images."""
        assert self.inputs is not None, "this phase generates no images"
        return self.inputs


def draw_inputs(G: GeneratorNetwork, config: RunConfig, streams: RandomStreams, labels: Tensor) -> Inputs:
    """Latents, layouts and style mixing for as many samples as `labels` [N, c_dim] has rows."""
    count, settings = len(labels), G.config
    z = torch.randn([count, *settings.latent_shape], generator=streams["latent"], device=labels.device)
    layout = mixing = None
    if settings.encoding is not None:
        layout = sample_layout(count, config.sampler, streams["layout"], settings.encoding.counts)
        layout = layout.registered(settings.encoding.registration)
    if config.loss.style_mixing_prob > 0 and G.num_ws > 1:
        mixing = _draw_mixing(z, G.num_ws, config.loss.style_mixing_prob, streams["mixing"])
    return Inputs(z, labels, layout, mixing)


def _draw_mixing(z: Tensor, num_ws: int, probability: float, stream: torch.Generator) -> Mixing:
    other = torch.randn(z.shape, generator=stream, device=z.device)
    shape = [len(z), 1, *z.shape[1:-1], 1]
    crossover = torch.randint(1, num_ws, shape, generator=stream, device=z.device)
    mixed = torch.rand(shape, generator=stream, device=z.device) < probability
    return Mixing(other, torch.where(mixed, crossover, num_ws))
