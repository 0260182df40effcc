"""BigGAN's parts against plain formulas in float64, skip-z, and its initialisation."""

import pytest
import torch
from torch import Tensor, nn

from dnnlib.errors import UserError
from tests.training.networks.lineage import discriminator, generator, lineage_config
from training.networks.biggan import ConditionalNorm, SelfAttention, chunk_sizes
from training.presets.choices import check_choices

pytestmark = pytest.mark.numeric


def noise(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_conditional_normalization():
    norm = ConditionalNorm(3, 5).double()
    x, h = noise(4, 3, 6, 6), noise(4, 5, seed=4)
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    gain, offset = h @ norm.affine.weight[:3].T, h @ norm.affine.weight[3:].T
    for k in range(3):
        whitened = (x[:, k] - mean[k]) / (variance[k] + 1e-5).sqrt()
        expected = (1 + gain[:, k, None, None]) * whitened + offset[:, k, None, None]
        torch.testing.assert_close(norm(x, h)[:, k], expected, atol=1e-13, rtol=0)


def test_self_attention():
    layer = SelfAttention(16).double()
    x = noise(2, 16, 4, 4)
    assert torch.equal(layer(x), x)
    layer.gamma.data.fill_(0.7)
    weights = {name: getattr(layer, name).weight[:, :, 0, 0] for name in "fgho"}
    for n in range(2):
        pixels = x[n].flatten(1)
        f = weights["f"] @ pixels
        g, h = (torch.stack([(weights[k] @ pixels).view(-1, 4, 4)[:, i : i + 2, j : j + 2].amax((1, 2))
                             for i in (0, 2) for j in (0, 2)], 1) for k in "gh")  # fmt: skip
        share = torch.exp(f.T @ g)
        share = share / share.sum(1, keepdim=True)
        expected = pixels + 0.7 * weights["o"] @ (h @ share.T)
        torch.testing.assert_close(layer(x)[n].flatten(1), expected, atol=1e-13, rtol=0)


def test_each_chunk_of_the_latent_enters_its_own_block():
    assert chunk_sizes(8, 4) == [2, 2, 2, 2]
    assert chunk_sizes(10, 4) == [3, 3, 2, 2]
    G = generator(lineage_config("biggan", None)).eval()
    z, before = torch.zeros([1, 8]), {}
    G.synthesis(G.styles(z), block_outputs=before)
    for chunk in range(4):
        other, after = z.clone(), {}
        other[:, 2 * chunk : 2 * chunk + 2] = 1
        G.synthesis(G.styles(other), block_outputs=after)
        assert [r for r in after if torch.equal(after[r], before[r])] == [4, 8, 16][:chunk]


def test_all_blocks_share_the_embedding_of_the_label():
    G = generator(lineage_config("biggan", None, c_dim=3))
    assert [name for name, _ in G.named_parameters() if "embed" in name] == ["synthesis.embed.weight"]
    assert {block.norm0.affine.in_features for block in G.synthesis.blocks.values()} == {8 + 2}


def test_weights_begin_orthogonal():
    of = lineage_config("biggan", None)
    for network in (generator(of), discriminator(of)):
        weights = [m.weight.flatten(1) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert len(weights) > 10
        for weight in weights:
            weight = weight if len(weight) <= weight.shape[1] else weight.T
            torch.testing.assert_close(weight @ weight.T, torch.eye(len(weight)), atol=1e-5, rtol=0)


def test_a_latent_with_fewer_numbers_than_chunks_is_refused():
    of = lineage_config("biggan", generator={"z_dim": 3})
    with pytest.raises(UserError, match=r"biggan needs a generator\.z_dim of 4 or more"):
        check_choices(of)
