"""Networks that grow: what fades in, against the smaller and the larger network alone, in float64."""

import copy

import pytest
import torch
from torch import Tensor

from tests.training.networks.lineage import discriminator, generator, layout_for, lineage_config
from training.networks.growing import set_level
from training.networks.progan import normalize_pixels

pytestmark = pytest.mark.numeric

GROWING = ["progan", "stylegan"]


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def at(network: torch.nn.Module, level: float) -> torch.nn.Module:
    set_level(network, level)
    return network


@pytest.mark.parametrize("backbone", GROWING)
@pytest.mark.parametrize("steered", [False, True])
def test_a_generator_fades_from_the_enlarged_smaller_network_to_the_larger_one(backbone, steered):
    of = lineage_config(backbone, **({} if steered else {"encoding": None}))
    G, z = generator(of).double().eval(), noise(2, 8)
    layout = layout_for(of)
    images = {level: at(G, level)(z, layout=layout) for level in (1, 1.25, 1.5, 2)}
    squares = images[1].unfold(2, 4, 4).unfold(3, 4, 4).flatten(4)  # 8x8, each pixel a square of 4x4
    assert torch.equal(squares, squares[..., :1].expand_as(squares))
    assert not torch.equal(images[2], images[1])
    for level, alpha in ((1.25, 0.25), (1.5, 0.5)):
        torch.testing.assert_close(images[level], (1 - alpha) * images[1] + alpha * images[2], rtol=0, atol=1e-13)


@pytest.mark.parametrize("backbone", GROWING)
def test_a_grown_generator_is_the_smaller_one_with_more_blocks(backbone):
    """The network for 16x16 has the weights of the one for 32x32 up to there, and its picture at level 2."""
    small, large = (generator(lineage_config(backbone, None, resolution=r)).double().eval() for r in (16, 32))
    found = small.load_state_dict(large.state_dict(), strict=False)
    assert not found.missing_keys
    z = noise(2, 8)
    at(small, 2), at(large, 2)
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(large(z), 2), small(z), rtol=0, atol=1e-13)


@pytest.mark.parametrize("backbone", GROWING)
def test_a_discriminator_fades_alike(backbone):
    of = lineage_config(backbone, None)
    D, images = discriminator(of).double().eval(), noise(4, 3, 32, 32)
    logits = {level: at(D, level)(images).logits for level in (1, 1 + 1e-7, 1.5, 2 - 1e-7, 2)}
    torch.testing.assert_close(logits[1 + 1e-7], logits[1], rtol=0, atol=1e-5)
    torch.testing.assert_close(logits[2 - 1e-7], logits[2], rtol=0, atol=1e-5)
    assert (logits[1] - logits[2]).abs().min() > 1e-3
    blocks, rgb = D.blocks, D.from_rgb
    small, large = (torch.nn.functional.avg_pool2d(images, k) for k in (4, 2))
    x = 0.5 * rgb["8"](small) + 0.5 * blocks["16"](rgb["16"](large))
    expected = D.epilogue(blocks["8"](x), None, None)
    torch.testing.assert_close(logits[1.5], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backbone", GROWING)
def test_features_are_handed_out_as_far_as_they_are_there(backbone):
    D = discriminator(lineage_config(backbone, None))
    images = torch.zeros([4, 3, 32, 32])
    found = {level: sorted(at(D, level)(images, features=(4, 8, 16)).features) for level in (0, 0.5, 1, 2, 2.5, 3)}
    assert found == {0: [], 0.5: [4], 1: [4], 2: [4, 8], 2.5: [4, 8, 16], 3: [4, 8, 16]}


@pytest.mark.parametrize("backbone", GROWING)
def test_a_level_is_part_of_the_state_and_fresh_networks_are_grown_up(backbone):
    G = generator(lineage_config(backbone, None))
    assert G.synthesis.level == 3
    at(G, 1.3)
    other = generator(lineage_config(backbone, None))
    other.load_state_dict(G.state_dict())
    assert other.synthesis.level == G.synthesis.level == copy.deepcopy(G).synthesis.level == pytest.approx(1.3)
    with pytest.raises(ValueError, match="no level -1"):
        at(G, -1)


def test_pixels_are_normalized_over_their_channels():
    x = noise(2, 5, 3, 3)
    expected = torch.stack([
        torch.stack([x[n, :, i, j] / (x[n, :, i, j].square().mean() + 1e-8).sqrt() for i in range(3) for j in range(3)])
        for n in range(2)
    ])  # fmt: skip
    torch.testing.assert_close(normalize_pixels(x).flatten(2).transpose(1, 2), expected, rtol=0, atol=1e-14)
