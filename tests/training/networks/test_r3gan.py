"""R3GAN's initialisation and its loss."""

import pytest
import torch

from tests.training.networks.lineage import discriminator, generator, lineage_config
from training.networks.r3gan import ResidualBlock

pytestmark = pytest.mark.numeric


def test_a_new_block_is_the_identity():
    x = torch.randn([2, 16, 8, 8], generator=torch.Generator().manual_seed(0))
    assert torch.equal(ResidualBlock(16, 8)(x), x)


def test_a_block_is_its_formula_in_float64():
    block = ResidualBlock(12, 8).double()
    torch.nn.init.normal_(block.conv2.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    x = torch.randn([2, 12, 6, 6], dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def pointwise(x, conv):
        return torch.einsum("oi,nihw->nohw", conv.weight[:, :, 0, 0], x) + conv.bias[:, None, None]

    y = pointwise(x, block.conv0)
    y = torch.where(y > 0, y, 0.2 * y)
    width = block.conv1.weight.shape[1]
    assert width == 12  # the largest divisor of 24 up to 16
    patches = torch.nn.functional.unfold(y, 3, padding=1).view(2, 24 // width, width * 9, 36)
    kernels = block.conv1.weight.view(24 // width, width, width * 9)
    y = torch.einsum("goi,ngip->ngop", kernels, patches).reshape(2, 24, 6, 6) + block.conv1.bias[:, None, None]
    expected = x + pointwise(torch.where(y > 0, y, 0.2 * y), block.conv2)
    torch.testing.assert_close(block(x), expected, rtol=1e-12, atol=1e-12)


def test_fix_up_scales_by_the_number_of_blocks():
    draws = [ResidualBlock(64, depth).conv0.weight.std().item() for depth in (1, 16)]
    assert draws[0] / draws[1] == pytest.approx(16**0.25, rel=0.05)


def test_the_networks_mirror_each_other():
    of = lineage_config("r3gan", None)
    sizes = [sum(p.numel() for m in (net.stages, getattr(net, "last_stage", None)) if m for p in m.parameters())
             for net in (generator(of).synthesis, discriminator(of))]  # fmt: skip
    assert sizes[0] == sizes[1]
