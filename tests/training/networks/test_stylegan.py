"""AdaIN and a layer's end against plain formulas in float64; noise and styles by layer."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.training.networks.lineage import generator, lineage_config
from training.config import SynthesisConfig
from training.networks.stylegan import StyledEnd, adaptive_instance_norm
from training.networks.synthesis import Noise

pytestmark = pytest.mark.numeric


def noise(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_adain_is_equation_1():
    x, gain, offset = noise(2, 3, 5, 5), noise(2, 3, seed=4), noise(2, 3, seed=5)
    found = adaptive_instance_norm(x, gain, offset)
    for n in range(2):
        for k in range(3):
            pixels = x[n, k]
            mean = pixels.mean()
            std = ((pixels - mean).square().mean() + 1e-5).sqrt()
            expected = gain[n, k] * (pixels - mean) / std + offset[n, k]
            torch.testing.assert_close(found[n, k], expected, atol=1e-13, rtol=0)


def test_noise_bias_activation_and_adain_follow_each_other():
    end = StyledEnd(3, 4, 6, SynthesisConfig()).double()
    x, w = noise(2, 3, 4, 4), noise(2, 6, seed=4)
    end.noise_strength.data, end.bias.data = noise(3, seed=6), noise(3, seed=7)
    y = x + end.noise_strength[:, None, None] * end.noise_const + end.bias[:, None, None]
    y = torch.where(y > 0, y, 0.2 * y) * 2**0.5
    style = w @ end.style.weight.T / 6**0.5 + end.style.bias
    expected = adaptive_instance_norm(y, 1 + style[:, :3], style[:, 3:])
    torch.testing.assert_close(end(x, w, Noise("const")), expected, atol=1e-13, rtol=0)
    assert not torch.allclose(end(x, w, Noise("none")), expected)


def test_each_resolution_has_two_styles():
    G = generator(lineage_config("stylegan", None)).eval()
    assert G.num_ws == 8
    ws = torch.randn([1, *G.w_shape], generator=torch.Generator().manual_seed(1))
    before, base = {}, G.synthesis(ws, block_outputs=(outputs := {}))
    before = outputs
    for layer in range(G.num_ws):
        changed, outputs = ws.clone(), {}
        changed[:, layer] += 1
        assert not torch.equal(G.synthesis(changed, block_outputs=outputs), base)
        same = [r for r in outputs if torch.equal(outputs[r], before[r])]
        assert same == [r for r in (4, 8, 16, 32) if r < 4 << (layer // 2)]


def test_a_border_is_not_darker_than_the_middle():
    """Zeros outside would make a quarter of it, and then a frame around every picture."""
    G = generator(lineage_config("stylegan", None)).synthesis.double()
    even, ramp = noise(2, 3, 1, 1).expand(-1, -1, 8, 8), torch.arange(8, dtype=torch.float64).expand(1, 1, 8, 8)
    torch.testing.assert_close(G.upsampled(even), even[:, :, :1, :1].expand(-1, -1, 16, 16), rtol=0, atol=1e-14)
    found = G.upsampled(ramp)[0, 0]
    assert found[3].tolist() == found[0].tolist()
    assert found[0, 0] == 0
    assert found[0, 2:14].diff().tolist() == pytest.approx([0.5] * 11)


def test_upsampling_is_nearest_neighbours_and_a_binomial_filter():
    """So that nothing moves: a filter of three weights among inserted zeros shifts by half a pixel each time."""
    G, x = generator(lineage_config("stylegan", None)).synthesis.double(), noise(2, 3, 8, 8)
    enlarged = F.pad(x, (1, 1, 1, 1), mode="replicate").repeat_interleave(2, 2).repeat_interleave(2, 3)
    taps = torch.tensor([1.0, 2, 1], dtype=torch.float64) / 4
    expected = F.conv2d(enlarged, taps.outer(taps).expand(3, 1, 3, 3), groups=3)[..., 1:-1, 1:-1]
    torch.testing.assert_close(G.upsampled(x), expected, rtol=0, atol=1e-14)


def test_the_constant_is_not_even():
    """AdaIN divides by the deviation over the pixels, which must be there before training."""
    const = generator(lineage_config("stylegan", None)).synthesis.const
    assert const.std((1, 2)).min() > 0.3
