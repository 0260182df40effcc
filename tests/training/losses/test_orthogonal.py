"""Orthogonal regularization against plain formulas."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from tests.training.networks.lineage import lineage_config
from tests.training.small import make_batch, make_networks
from torch_utils.randomness import RandomStreams
from training.losses.orthogonal import gram_penalty, layer_matrices, orthogonal_penalty
from training.losses.phases import d_main, g_main
from training.networks.layers import Conv2d

pytestmark = pytest.mark.numeric


def matrix(rows: int, columns: int) -> torch.Tensor:
    return torch.randn([rows, columns], dtype=torch.float64, generator=torch.Generator().manual_seed(rows))


@pytest.mark.parametrize("rows, columns", [(3, 7), (5, 5), (7, 3)])
def test_both_forms_against_sums_over_pairs_of_filters(rows, columns):
    weight = matrix(rows, columns)
    products = [[sum(a * b for a, b in zip(w.tolist(), v.tolist(), strict=True)) for v in weight] for w in weight]
    off = sum(products[i][j] ** 2 for i in range(rows) for j in range(rows) if i != j)
    on = sum((products[i][i] - 1) ** 2 for i in range(rows))
    assert gram_penalty(weight, "filters").item() == pytest.approx(off, rel=1e-12)
    assert gram_penalty(weight, "full").item() == pytest.approx(off + on, rel=1e-12)
    other_side = (weight.T @ weight - torch.eye(columns, dtype=torch.float64)).square().sum()
    assert gram_penalty(weight, "full").item() == pytest.approx(other_side.item() + rows - columns, rel=1e-12)


def test_orthogonal_filters_cost_nothing():
    weight, _ = torch.linalg.qr(matrix(7, 3))
    assert gram_penalty(weight.T, "full").item() == pytest.approx(0, abs=1e-24)
    assert gram_penalty(5 * weight.T, "filters").item() == pytest.approx(0, abs=1e-24)


def test_layers_are_taken_as_they_are_learnt():
    layers = spectral_norm(nn.Linear(4, 3)), nn.ConvTranspose2d(2, 5, 3), Conv2d(3, 6, 3), nn.BatchNorm2d(6)
    network = nn.Sequential(*layers)
    linear, transposed, equalized = layer_matrices(network)
    assert torch.equal(linear, network[0].parametrizations.weight.original)
    assert torch.equal(transposed, network[1].weight.transpose(0, 1).flatten(1))
    assert torch.equal(equalized, network[2].weight.flatten(1) * 27**-0.5)
    expected = sum(gram_penalty(weight, "full") for weight in (linear, transposed, equalized))
    torch.testing.assert_close(orthogonal_penalty(network, "full"), expected)


@pytest.mark.parametrize("backbone", ["stylegan2", "sndcgan", "r3gan"])
@pytest.mark.parametrize("phase, key", [(g_main, "g_orthogonal"), (d_main, "d_orthogonal")])
def test_every_backbone_can_be_regularized(backbone, phase, key):
    losses = []
    for weight in (0, 0.5):
        of = lineage_config(backbone, None, loss={key: weight})
        networks = make_networks(of)
        losses.append(phase(networks, make_batch(networks, of), of, RandomStreams(0, "cpu"))[0].item())
    network = networks.G if phase is g_main else networks.D
    assert losses[1] - losses[0] == pytest.approx(0.5 * orthogonal_penalty(network).item(), rel=1e-3)
