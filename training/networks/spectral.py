"""Spectral normalization of any network's layers (Miyato et al. 2018): networks.spectral_norm."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from training.networks.layers import Conv2d, Equalized, Linear

LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, Linear, Conv2d)


def normalize_spectra(network: nn.Module) -> None:
    """Divide the weight of every linear and convolutional layer by its largest singular value, which a power iteration
    follows. Layers that have it already, and modulated convolutions (they are demodulated), stay as they are.

    An iteration goes on when the layer is used where gradients are wanted, not when its weight is looked at: making
    pictures leaves the network as it is. A layer with an equalized learning rate loses its gain, so that its norm is
    1, too.
    """
    for layer in list(network.modules()):
        if isinstance(layer, LAYERS) and not hasattr(layer, "parametrizations"):
            spectral_norm(layer)
            _iteration(layer).eval()
            layer.register_forward_pre_hook(_begin)
            layer.register_forward_hook(_end, always_call=True)
            if isinstance(layer, Equalized):
                layer.weight_gain = 1.0


def _begin(layer: nn.Module, _: tuple[Tensor, ...]) -> None:
    _iteration(layer).train(layer.training and torch.is_grad_enabled())


def _end(layer: nn.Module, _: tuple[Tensor, ...], __: Tensor) -> None:
    _iteration(layer).eval()


def _iteration(layer: nn.Module) -> nn.Module:
    """What computes the normalized weight; each evaluation in training mode is a step of the power iteration."""
    return cast(Any, layer).parametrizations.weight
