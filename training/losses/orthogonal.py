"""Orthogonal regularization of a network's layers (Brock et al. 2017; 2019, equation 3)."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from training.networks.backbones import Module
from training.networks.layers import Equalized
from training.networks.spectral import LAYERS


def layer_matrices(network: Module) -> Iterator[Tensor]:
    """W [filters, inputs] of every linear and convolutional layer, as the optimizer has it: before a spectral
    normalization, times the gain of an equalized learning rate."""
    for layer in network.modules():
        if isinstance(layer, LAYERS):
            weight = _learnt(layer)
            if isinstance(layer, nn.ConvTranspose2d):
                weight = weight.transpose(0, 1)
            yield weight.flatten(1) * (layer.weight_gain if isinstance(layer, Equalized) else 1.0)


def _learnt(layer: nn.Module) -> Tensor:
    return layer.get_parameter("parametrizations.weight.original" if hasattr(layer, "parametrizations") else "weight")


def gram_penalty(weight: Tensor, form: str) -> Tensor:
    """For W [filters, inputs], a scalar: "filters" |W W^T * (1 - I)|_F^2, which leaves the filters' norms alone; "full"
    |W W^T - I|_F^2, which is |W^T W - I|_F^2 plus filters - inputs."""
    gram = weight @ weight.T
    if form == "full":
        return (gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).square().sum()
    return gram.square().sum() - gram.diagonal().square().sum()


def orthogonal_penalty(network: Module, form: str = "filters") -> Tensor:
    """The sum of gram_penalty over the layers of a network, without its weight (a scalar)."""
    return torch.stack([gram_penalty(weight, form) for weight in layer_matrices(network)]).sum()
