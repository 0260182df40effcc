"""Conditioning on heatmaps: which features go where, and what the encoding layer does to a feature."""

import pytest
import torch
import torch.nn.functional as F

from tests.training.small import make_layout, seeded
from training.config import EncodingConfig
from training.networks.spatial_encoding import (
    FEATURES,
    ConcatEncoding,
    HeatmapEncoder,
    SpatialEncoding,
    instance_norm,
    make_encoding,
)

pytestmark = pytest.mark.numeric

COARSE = EncodingConfig(mode="coarse", hidden_channels=8)
FINE = EncodingConfig(mode="fine", hidden_channels=8)
each_mode = pytest.mark.parametrize("config", [COARSE, FINE], ids=["coarse", "fine"])


def encoder(config: EncodingConfig) -> HeatmapEncoder:
    return seeded(lambda: HeatmapEncoder(config, 32))


def layer(channels: int = 6, heatmap_channels: int = FEATURES, config: EncodingConfig = COARSE) -> SpatialEncoding:
    net = seeded(lambda: SpatialEncoding(channels, heatmap_channels, config))
    for p in net.parameters():
        p.data.normal_(generator=torch.Generator().manual_seed(p.numel()))
    return net


# ---- features


def test_blocks_hear_their_own_level_and_blocks_above_hear_all():
    assert [HeatmapEncoder.channels(r) for r in (4, 8, 16, 32, 64)] == [32, 32, 32, 96, 96]


@each_mode
@pytest.mark.parametrize("block, level", [(4, 0), (8, 1), (16, 2)])
def test_features_follow_only_the_blocks_own_level(config, block, level):
    net, layout, key = encoder(config), make_layout(), (block, block)
    before = net(layout, [key])[key]
    for other in (1, 2):
        after = net(layout.moved(other, 0, 0.3, 0.1), [key])[key]
        assert torch.equal(after, before) == (other != level)
    assert not torch.equal(net(layout.moved(0, 0, 0.3, 0.1), [key])[key], before)


def test_coarse_features_have_the_layers_size_and_fine_ones_the_images():
    layers = [(4, 4), (8, 4), (16, 16), (32, 16)]
    coarse, fine = encoder(COARSE)(make_layout(2), layers), encoder(FINE)(make_layout(2), layers)
    assert {key: tuple(f.shape) for key, f in coarse.items()} == {
        (block, r): (2, HeatmapEncoder.channels(block), r, r) for block, r in layers
    }
    assert {key: tuple(f.shape) for key, f in fine.items()} == {
        (block, r): (2, HeatmapEncoder.channels(block), 32, 32) for block, r in layers
    }


@each_mode
def test_heatmaps_are_rendered_once_a_size(config):
    class Counting:
        asked: list[tuple[int, int]] = []

        def heatmaps(self, level: int, resolution: int) -> torch.Tensor:
            self.asked.append((level, resolution))
            return make_layout().heatmaps(level, resolution)

    source = Counting()
    source.asked = []
    encoder(config)(source, [(8, 8), (8, 8), (32, 8), (32, 8)])
    assert len(source.asked) == len(set(source.asked)) == 3


def test_large_blocks_join_the_levels_in_order():
    net, layout = encoder(COARSE), make_layout()
    joined = net(layout, [(32, 16)])[32, 16]
    own = net(layout, [(16, 16)])[16, 16]
    assert torch.equal(joined[:, 2 * FEATURES :], own)


# ---- the layer


def test_layer_is_the_formula(generator):
    net, x = layer(), torch.randn([2, 6, 5, 5], generator=generator())
    features = torch.rand([2, FEATURES, 5, 5], generator=generator(1))

    def convolve(conv, x):
        return F.conv2d(x, conv.weight / (conv.weight[0].numel()) ** 0.5, conv.bias, padding=1)

    shared = F.leaky_relu(convolve(net.shared, features), 0.2) * 2**0.5
    sigma, mu = convolve(net.sigma, shared), convolve(net.mu, shared)
    inner = F.leaky_relu(F.instance_norm(x) * (1 + sigma) + mu, 0.2)
    torch.testing.assert_close(net(x, features), x + 0.1 * convolve(net.output, inner), rtol=1e-4, atol=1e-5)


def test_residual_scale_is_configurable(generator):
    x, features = torch.randn([1, 6, 4, 4], generator=generator()), torch.rand([1, FEATURES, 4, 4])
    small, large = (layer(config=COARSE.model_copy(update={"residual_scale": s})) for s in (0.1, 0.4))
    torch.testing.assert_close(large(x, features) - x, 4 * (small(x, features) - x), rtol=1e-4, atol=1e-5)


def test_features_of_another_size_are_resized(generator):
    net, x = layer(), torch.randn([2, 6, 5, 5], generator=generator())
    features = torch.rand([2, FEATURES, 9, 9], generator=generator(1))
    torch.testing.assert_close(net(x, features), net(x, features[:, :, ::2, ::2]))


def test_sigma_and_mu_are_maps_of_one_channel():
    net = layer()
    assert net.sigma.weight.shape[0] == net.mu.weight.shape[0] == 1


def test_instance_norm(generator):
    x = torch.randn([2, 3, 6, 6], generator=generator()) * 4 + 2
    torch.testing.assert_close(instance_norm(x), F.instance_norm(x))
    assert instance_norm(torch.full([1, 1, 4, 4], 3.0)).abs().max() == 0


def test_gradients_reach_the_feature_the_heatmaps_and_every_parameter(generator):
    net = layer().double()
    x = torch.randn([1, 6, 4, 4], generator=generator(), dtype=torch.float64, requires_grad=True)
    features = torch.rand([1, FEATURES, 4, 4], generator=generator(1), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net, (x, features), fast_mode=True)
    net(x, features).square().sum().backward()
    assert all(p.grad.abs().max() > 0 for p in net.parameters())


# ---- concatenation


def test_concatenation_is_the_formula(generator):
    config = COARSE.model_copy(update={"layer": "concat", "concat_channels": 7})
    net = seeded(lambda: ConcatEncoding(6, FEATURES, config))
    x, features = torch.randn([2, 6, 5, 5], generator=generator()), torch.rand([2, FEATURES, 5, 5])

    def convolve(conv, x):
        return F.conv2d(x, conv.weight / (conv.weight[0].numel()) ** 0.5, conv.bias, padding=1)

    def act(x):
        return F.leaky_relu(x, 0.2) * 2**0.5

    inner = act(convolve(net.conv1, act(convolve(net.conv0, torch.cat([x, act(convolve(net.shared, features))], 1)))))
    torch.testing.assert_close(net(x, features), x + 0.1 * convolve(net.output, inner), rtol=1e-4, atol=1e-5)
    assert net.conv0.weight.shape == (7, 6 + 8, 3, 3)
    net(x, features).square().sum().backward()
    assert all(p.grad.abs().max() > 0 for name, p in net.named_parameters() if "weight" in name)


def test_sizes_of_the_papers_concatenation():
    with torch.device("meta"):
        net = make_encoding(512, 16, EncodingConfig(layer="concat"))
    assert [net.shared.weight.shape[0], net.conv0.weight.shape[0], net.conv1.weight.shape[0]] == [64, 256, 512]


# ---- what a feature sees of its heatmap


@pytest.mark.parametrize(
    "kernel, dilation, reach", [(3, 1, 2), (7, 1, 6), (3, 2, 4), (7, 2, 12)], ids=["3", "7", "3 by 2", "7 by 2"]
)
def test_kernel_and_dilation_widen_the_view(kernel, dilation, reach):
    config = FINE.model_copy(update={"kernel_size": kernel, "dilation": dilation})
    net, picture = encoder(config), torch.zeros(1, 1, 32, 32)
    dot = picture.clone()
    dot[..., 16, 16] = 1
    changed = (net.levels[0](dot) - net.levels[0](picture)).abs().amax((0, 1)) > 1e-6  # rounding goes further
    seen = changed.any(0).nonzero().flatten().tolist()
    assert (min(seen), max(seen)) == (16 - reach, 16 + reach)


# ---- one level for all


@pytest.mark.parametrize("layer", ["norm", "concat"])
def test_scenes_of_one_level_reach_every_block(layer):
    config = COARSE.model_copy(update={"layer": layer, "counts": (3,)})
    net, layout = encoder(config), make_layout(2, (3,))
    assert [HeatmapEncoder.channels(r, 1) for r in (4, 8, 16, 32)] == [32] * 4
    features = net(layout, [(r, r) for r in (4, 16, 32)])
    assert [tuple(f.shape) for f in features.values()] == [(2, 32, r, r) for r in (4, 16, 32)]
    assert make_encoding(6, 32, config).shared.weight.shape[1] == 32
    moved = net(layout.moved(0, 2, 0.3, 0), [(4, 4)])
    assert not torch.equal(moved[4, 4], features[4, 4])
