"""A picture with the generator's features, for gradients: what dragging and inversion look at in every step.

Pictures for people come from Model.images, whose fast path keeps no gradients; this is the plain synthesis network.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import overload

import torch
from torch import Tensor

from torch_utils.randomness import RandomStreams
from training.layouts.layout import Layout
from training.networks.synthesis import Noise, NoiseMode
from training.sampling import Model


@dataclass(frozen=True)
class Observation:
    """image [N, C, R, R] about [-1, 1] and features [N, channels, r, r], float32, of styles ws and a layout.

    block: the features, where the observer was asked for some.
    """

    image: Tensor
    block: Tensor | None
    ws: Tensor
    layout: Layout | None

    @property
    def features(self) -> Tensor:
        assert self.block is not None, "this observer has no resolution to see features at"
        return self.block

    @property
    def centers(self) -> tuple[Tensor, ...]:
        """Those of all levels, [N, n, 2] each; none where there is no layout."""
        return () if self.layout is None else self.layout.centers


@dataclass(frozen=True)
class Observer:
    """Looks at pictures of a model; `resolution`: of the features wanted, None for none."""

    model: Model
    resolution: int | None = None
    noise_mode: NoiseMode = "const"
    noise_seed: int = 0

    def __call__(self, ws: Tensor, layout: Layout | None) -> Observation:
        """The picture of ws [N, *w_shape] and a layout; gradients flow wherever these want them."""
        noise, outputs = self._noise(len(ws)), dict[int, Tensor]()
        if self.resolution is None:
            return Observation(self.model.G.synthesis(ws, layout, noise).float(), None, ws, layout)
        image = self.model.G.synthesis(ws, layout, noise, block_outputs=outputs)
        return Observation(image.float(), outputs[self.resolution].float(), ws, layout)

    def _noise(self, count: int) -> Noise:
        """The same in every call, as Model.images has it for this seed."""
        if self.noise_mode != "random":
            return Noise(self.noise_mode)
        return Noise("random", [RandomStreams(self.noise_seed, self.model.device)["noise"] for _ in range(count)])


@contextmanager
def with_gradients() -> Iterator[None]:
    """Gradients within the block, whatever the caller has switched off."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def leaf(values: Tensor) -> Tensor:
    """A copy that gradients end in."""
    return values.detach().clone().requires_grad_()


def leaf_centers(layout: Layout | None) -> Layout | None:
    """A copy of the layout whose centers gradients end in."""
    return None if layout is None else replace(layout, centers=tuple(map(leaf, layout.centers)))


@overload
def detached(layout: Layout) -> Layout: ...
@overload
def detached(layout: None) -> None: ...


def detached(layout: Layout | None) -> Layout | None:
    """A copy without gradients that nothing else writes to."""
    if layout is None:
        return None
    centers, spreads = (tuple(v.detach().clone() for v in levels) for levels in (layout.centers, layout.spreads))
    return replace(layout, centers=centers, spreads=spreads)
