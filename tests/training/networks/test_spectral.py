"""Spectral normalization of any backbone."""

import copy

import pytest
import torch

from dnnlib.errors import UserError
from tests.training.networks.lineage import (
    CONDITIONED,
    conditioned_config,
    conditions,
    discriminator,
    generator,
    layout_for,
    lineage_config,
)
from training.networks.layers import Conv2d, Linear
from training.networks.spectral import LAYERS
from training.presets.choices import check_choices

pytestmark = pytest.mark.numeric

BACKBONES = ["biggan", "progan", "sndcgan", "spade", "stackgan", "stylegan", "stylegan2"]
ITERATIONS, TOLERANCE = 500, 1e-3  # where the two largest singular values are next to each other, they take long
LOOKS = 50  # iterations between two looks at whether a norm has settled
SPECTRAL = {"networks": {"spectral_norm": True}}


def layers(network: torch.nn.Module) -> list[torch.nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, LAYERS)]


def used_weight(layer: torch.nn.Module) -> torch.Tensor:
    weight = layer.weight.transpose(0, 1) if isinstance(layer, torch.nn.ConvTranspose2d) else layer.weight
    return weight.flatten(1) * (layer.weight_gain if isinstance(layer, Linear | Conv2d) else 1)


def settle(layer: torch.nn.Module) -> None:
    """Power iterations, until the norm is 1 to half of the tolerance, or in vain."""
    layer.parametrizations.weight.train()
    for done in range(1, ITERATIONS + 1):
        layer.weight  # noqa: B018 - each look is a power iteration then
        if done % LOOKS == 0 and abs(torch.linalg.matrix_norm(used_weight(layer), 2) - 1) < TOLERANCE / 2:
            return


@pytest.mark.parametrize("backbone", BACKBONES)
def test_norms_are_1_after_settling(backbone):
    of = (conditioned_config if backbone in CONDITIONED else lineage_config)(backbone, **SPECTRAL)
    G, D = generator(of), discriminator(of)
    z = torch.randn([4, 8], generator=torch.Generator().manual_seed(0))
    for layer in (*layers(G), *layers(D)):
        settle(layer)
    c = conditions(of, 4) if backbone in CONDITIONED else None
    images = G.synthesis(G.styles(z, c), layout_for(of, 4))
    assert D(images, c).logits.isfinite().all()
    for network in (G.eval(), D.eval()):
        norms = torch.stack([torch.linalg.matrix_norm(used_weight(layer), 2) for layer in layers(network)])
        assert len(norms) >= 6
        torch.testing.assert_close(norms, torch.ones_like(norms), rtol=0, atol=TOLERANCE)


def test_layers_that_begin_as_zeros_have_no_spectrum():
    with pytest.raises(UserError, match="spectral_norm must be false with backbone r3gan"):
        check_choices(lineage_config("r3gan", **SPECTRAL))


def test_iterations_go_on_only_where_gradients_are_wanted():
    of = lineage_config("stylegan2", None, **SPECTRAL)
    D, images = discriminator(of), torch.randn([4, 3, 32, 32], generator=torch.Generator().manual_seed(0))
    before = copy.deepcopy(D.state_dict())
    with torch.no_grad():
        D(images)
    assert all(torch.equal(before[name], value) for name, value in D.state_dict().items())
    D(images)
    moved = {name.rpartition(".")[2] for name, value in D.state_dict().items() if not torch.equal(before[name], value)}
    assert moved == {"_u", "_v"}


def test_it_is_off_by_default():
    assert not any(hasattr(layer, "parametrizations") for layer in layers(generator(lineage_config("biggan"))))
