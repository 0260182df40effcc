"""Families of networks: what a generator and a discriminator have to offer, and which ones a configuration asks for.

A new family is one file that registers a Backbone; see docs/extending.md.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, ClassVar, Protocol, Self

from torch import Tensor, nn

from dnnlib.registry import Registry
from training.config import Condition, DiscriminatorConfig, GeneratorConfig, RunConfig
from training.layouts.layout import HeatmapSource
from training.networks.discriminator import DiscriminatorOutput
from training.networks.spectral import normalize_spectra
from training.networks.synthesis import Noise


class Module(Protocol):
    """What is used of torch.nn.Module."""

    training: bool

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def buffers(self) -> Iterator[Tensor]: ...

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]: ...

    def modules(self) -> Iterator[nn.Module]: ...

    def named_children(self) -> Iterator[tuple[str, nn.Module]]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = ...) -> Any: ...

    def requires_grad_(self, requires_grad: bool = ...) -> Self: ...

    def zero_grad(self, set_to_none: bool = ...) -> None: ...

    def train(self, mode: bool = ...) -> Self: ...

    def eval(self) -> Self: ...

    def to(self, *args: Any, **kwargs: Any) -> Self: ...


class Synthesis(Protocol):
    """ws [N, *w_shape] and, where it is conditioned on one, a layout -> images [N, img_channels, R, R]."""

    resolutions: list[int]  # of its blocks, from 4 to R
    is_layout_conditioned: bool
    # and half_resolutions: Collection[int], where blocks of these resolutions compute in half precision

    def __call__(
        self,
        ws: Tensor,
        layout: HeatmapSource | None = ...,
        noise: Noise = ...,
        block_outputs: dict[int, Tensor] | None = ...,
    ) -> Tensor: ...


class GeneratorNetwork(Module, Protocol):
    """What training, sampling and metrics use of a generator, besides that it is an nn.Module."""

    config: GeneratorConfig
    num_ws: int
    w_shape: tuple[int, ...]  # (num_ws, w_dim), or (num_ws, codes, w_dim) where objects have codes of their own
    takes_layout_in_latent: bool  # whether `styles` needs the layout

    @property
    def synthesis(self) -> Synthesis: ...

    def __call__(self, z: Tensor, c: Tensor | None = ..., layout: HeatmapSource | None = ...) -> Tensor: ...

    def styles(
        self,
        z: Tensor,
        c: Tensor | None = ...,
        truncation_psi: float = ...,
        truncation_cutoff: int | None = ...,
        update_w_avg: bool | int = ...,
        layout: HeatmapSource | None = ...,
    ) -> Tensor:
        """ws [N, *w_shape] of latents z [N, *config.latent_shape] and labels c [N, c_dim].

        update_w_avg: whether a mean style, where there is one, follows; a number: that of the first so many z.
        """
        ...

    # and condition_gaussian(c: Tensor) -> tuple[Tensor, Tensor], where its Backbone says so: mean and log variance
    # [N, D] of the distribution that it draws what it makes of a condition from (loss.kl_weight)


class DiscriminatorNetwork(Module, Protocol):
    """What training and metrics use of a discriminator, besides that it is an nn.Module."""

    config: DiscriminatorConfig

    def __call__(self, img: Tensor, c: Tensor | None = ..., features: Collection[int] = ...) -> DiscriminatorOutput:
        """Logits [N, 1] of images [N, img_channels, R, R], or [N, K] of K patches each; block outputs at the
        resolutions in `features`."""
        ...

    def freeze_layers(self, count: int) -> None:
        """Stop the first `count` layers, counted from the image, from learning."""
        ...


class Backbone:
    """A family. Both networks are made with fresh weights from the global random stream."""

    generator: ClassVar[Callable[..., Any]]  # GeneratorConfig -> GeneratorNetwork
    discriminator: ClassVar[Callable[..., Any]]  # DiscriminatorConfig -> DiscriminatorNetwork
    grows: ClassVar[bool] = False  # whether both have modules of training/networks/growing.py
    conditions: ClassVar[tuple[Condition, ...]] = ("labels",)  # data.condition that both understand
    needs_condition: ClassVar[bool] = False  # whether there is nothing to generate without one
    augments_condition: ClassVar[bool] = False  # whether G has condition_gaussian

    @staticmethod
    def check(config: RunConfig) -> None:
        """Raises ValueError, in one line, for a configuration that this family cannot serve."""

    @staticmethod
    def freezable_layers(config: DiscriminatorConfig) -> int | None:
        """How many layers D has before those that give the logit, the most that can be frozen; None: not limited."""
        return None

    @staticmethod
    def features(config: DiscriminatorConfig) -> tuple[int, ...]:
        """Resolutions of the block outputs that D can return, from the finest on."""
        return tuple(2**k for k in range(config.img_resolution.bit_length() - 2, 1, -1))

    @staticmethod
    def scores_both_at_once(config: DiscriminatorConfig, count: int) -> bool:
        """Whether one pass of D over `count` generated and as many real images, by turns, gives the logits of two."""
        return False


BACKBONES: Registry[type[Backbone]] = Registry("backbone", home="training.networks")


def make_generator(config: GeneratorConfig) -> GeneratorNetwork:
    """With fresh weights from the global stream. Raises UserError for an unknown backbone."""
    network = BACKBONES[config.backbone].generator(config)
    if config.synthesis.spectral_norm:
        normalize_spectra(network)
    return network


def make_discriminator(config: DiscriminatorConfig) -> DiscriminatorNetwork:
    """With fresh weights from the global stream. Raises UserError for an unknown backbone."""
    network = BACKBONES[config.backbone].discriminator(config)
    if config.spectral_norm:
        normalize_spectra(network)
    return network
