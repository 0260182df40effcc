"""SPADE's normalization against a plain formula in float64, label maps, and the share of each scale."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.training.networks.lineage import conditioned_config, conditions, discriminator
from tests.training.small import seeded
from training.networks.spade import SPADE, one_hot

pytestmark = pytest.mark.numeric


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def convolved(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """A 3x3 convolution, tap by tap, of an image with zeros around."""
    size, padded = x.shape[2], F.pad(x, (1, 1, 1, 1))
    taps = (
        torch.einsum("oc,nchw->nohw", layer.weight[:, :, i, j], padded[:, :, i : i + size, j : j + size])
        for i in range(3) for j in range(3)
    )  # fmt: skip
    return sum(taps) + layer.bias[:, None, None]


def test_spatially_adaptive_normalization():
    layer = seeded(lambda: SPADE(5, 4)).double()
    x, classes = noise(3, 5, 6, 6), one_hot(torch.arange(36).remainder(4).expand(3, -1).double(), 4, 6)
    hidden = convolved(classes, layer.hidden).clamp_min(0)
    gain, offset = convolved(hidden, layer.gain), convolved(hidden, layer.offset)
    for k in range(5):
        mean = x[:, k].mean()
        std = ((x[:, k] - mean).square().mean() + 1e-5).sqrt()
        expected = (1 + gain[:, k]) * (x[:, k] - mean) / std + offset[:, k]
        torch.testing.assert_close(layer(x, classes)[:, k], expected, atol=1e-13, rtol=0)


def test_a_label_map_is_one_plane_for_each_class():
    c = torch.tensor([[0.0, 2.0, 1.0, 2.0]])
    assert one_hot(c, 3, 2).tolist() == [[[[1, 0], [0, 0]], [[0, 0], [1, 0]], [[0, 1], [0, 1]]]]


def test_scales_have_equal_shares():
    of = conditioned_config("spade", None)
    D, c, images = discriminator(of).double(), conditions(of).double(), noise(2, 3, 32, 32)
    seen = torch.cat([images, one_hot(c, 3, 32)], dim=1)
    means = [scale(x)[-1].mean((1, 2, 3)) for scale, x in zip(D.scales, (seen, F.avg_pool2d(seen, 2)), strict=True)]
    torch.testing.assert_close(D(images, c).logits.mean(1), sum(means) / 2, atol=1e-13, rtol=0)
