"""Networks that tell what is in a picture, and the metrics' one place to get them from."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from metrics.extractors.base import Extractor, Network
from metrics.extractors.dinov2 import dinov2
from metrics.extractors.fidelity import inception, vgg16
from metrics.extractors.lpips import PerceptualDistance
from metrics.extractors.random_features import random_features
from metrics.extractors.weights import WeightFiles

__all__ = ["Extractor", "Extractors", "PerceptualDistance", "WeightFiles", "weights_of"]

# How each is made, and which weights it is made with.
_MAKERS: dict[str, tuple[Callable[[WeightFiles], Extractor], tuple[str, ...]]] = {
    "inception": (inception, ("inception",)),
    "vgg16": (vgg16, ("vgg16",)),
    "dinov2": (dinov2, ("dinov2",)),
    "random": (lambda weights: random_features(), ()),
}
_PERCEPTUAL = ("vgg16", "lpips")


def weights_of(extractor: str) -> tuple[str, ...]:
    """Names of the weights that an extractor, or "lpips", is made with."""
    return _PERCEPTUAL if extractor == "lpips" else _MAKERS[extractor][1]


def _on(network: Network, device: torch.device) -> Network:
    """Networks move to the device, plain functions stay."""
    return network.to(device) if isinstance(network, nn.Module) else network


@dataclass
class Extractors:
    """Makes extractors when they are first asked for, and keeps them."""

    weights: WeightFiles = field(default_factory=WeightFiles)
    _made: dict[tuple[str, torch.device], Extractor] = field(default_factory=dict, repr=False)
    _perceptual: dict[torch.device, PerceptualDistance] = field(default_factory=dict, repr=False)

    def get(self, name: str, device: torch.device) -> Extractor:
        """The extractor on `device`. Raises UserError when its weights are unavailable."""
        if (name, device) not in self._made:
            extractor = _MAKERS[name][0](self.weights)
            self._made[name, device] = replace(extractor, network=_on(extractor.network, device))
        return self._made[name, device]

    def perceptual_distance(self, device: torch.device) -> PerceptualDistance:
        """LPIPS on `device`; errors as for get()."""
        if device not in self._perceptual:
            self._perceptual[device] = PerceptualDistance(self.weights, device)
        return self._perceptual[device]

    def fetch(self, name: str) -> None:
        """See to it that the weights of an extractor (or "lpips") are there, downloading them if need be."""
        for weights in weights_of(name):
            self.weights.path(weights)
