"""Styles that differ from pixel to pixel: the map, and the convolutions that use it."""

import pytest
import torch
from torch import Tensor

from tests.implementations import check_native
from tests.training.small import make_layout, seeded
from torch_utils.ops import modulated_conv2d, setup_filter, use
from training.networks.sel_indoor import ObjectAffine, StyleMap, modulated_conv2d_by_map, pointwise_by_map

pytestmark = pytest.mark.numeric

N, OBJECTS, C, SIZE = 2, 3, 5, 6


def styles(seed: int = 0, dtype: torch.dtype = torch.float64, objects: int = OBJECTS) -> StyleMap:
    stream = torch.Generator().manual_seed(seed)
    heatmaps = make_layout(N, (objects,)).heatmaps(0, SIZE, floor=0.0)
    draw = {"generator": stream, "dtype": dtype}
    return StyleMap(torch.randn([N, objects, C], **draw), heatmaps.to(dtype), torch.randn([N, C], **draw))


def features(dtype: torch.dtype = torch.float64, channels_last: bool = False) -> Tensor:
    x = torch.randn([N, C, SIZE, SIZE], generator=torch.Generator().manual_seed(5), dtype=dtype)
    return x.contiguous(memory_format=torch.channels_last) if channels_last else x


def filters(outputs: int = 4, size: int = 3) -> Tensor:
    return torch.randn([outputs, C, size, size], generator=torch.Generator().manual_seed(6), dtype=torch.float64)


def coarse(found: StyleMap) -> StyleMap:
    """Rounded, so that sums are exact in whatever order they are made."""
    return StyleMap(*((part * 64).round() / 64 for part in (found.objects, found.heatmaps, found.background)))


def silent(found: StyleMap) -> StyleMap:
    return StyleMap(found.objects, torch.zeros_like(found.heatmaps), found.background)


each_format = pytest.mark.parametrize("channels_last", [False, True])


# ---- the map


@each_format
def test_map_is_the_sum_over_objects_and_the_background(channels_last):
    found = styles()
    expected = torch.einsum("nkc,nkhw->nchw", found.objects, found.heatmaps) + found.background[:, :, None, None]
    like = features(channels_last=channels_last)
    pixels = found.pixels(like)
    torch.testing.assert_close(pixels, expected)
    assert pixels.stride() == like.stride()
    torch.testing.assert_close(found.mean(), expected.mean((2, 3)))
    torch.testing.assert_close(found.scaled(0.3).pixels(like), 0.3 * expected)
    factor = torch.tensor([[2.0], [3.0]], dtype=torch.float64)
    torch.testing.assert_close(found.scaled(factor).pixels(like), factor[:, :, None, None] * expected)
    assert (expected.abs().amax((1, 2, 3)) <= found.bound()[:, 0]).all()


@each_format
def test_without_objects_the_map_is_the_background_exactly(channels_last):
    found = silent(styles(dtype=torch.float32))
    pixels = found.pixels(features(torch.float32, channels_last))
    assert torch.equal(pixels, found.background[:, :, None, None].expand_as(pixels))
    assert torch.equal(found.mean(), found.background)


@each_format
@pytest.mark.parametrize("removed", range(OBJECTS))
def test_removing_an_object_leaves_the_contributions_of_the_others_exactly(channels_last, removed):
    """The map without object i is, bit for bit, that of a scene that never had it (with numbers that add exactly)."""
    found, like = coarse(styles(dtype=torch.float32)), features(torch.float32, channels_last)
    strengths = torch.ones(OBJECTS)
    strengths[removed] = 0
    without = StyleMap(found.objects, found.heatmaps * strengths[:, None, None], found.background)
    others = [i for i in range(OBJECTS) if i != removed]
    never = StyleMap(found.objects[:, others], found.heatmaps[:, others], found.background)
    assert torch.equal(without.pixels(like), never.pixels(like))
    assert not torch.allclose(without.pixels(like), found.pixels(like))


def test_order_of_objects_does_not_matter():
    found, order = styles(), [2, 0, 1]
    turned = StyleMap(found.objects[:, order], found.heatmaps[:, order], found.background)
    torch.testing.assert_close(turned.pixels(features()), found.pixels(features()))
    torch.testing.assert_close(turned.mean(), found.mean())


def test_affine_of_objects_starts_at_bias_0_and_serves_each_by_itself():
    net = seeded(lambda: ObjectAffine(8, C))
    assert net.affine.bias.abs().max() == 0
    ws = torch.randn([N, OBJECTS, 8], generator=torch.Generator().manual_seed(1))
    assert net(ws).shape == (N, OBJECTS, C)
    torch.testing.assert_close(net(ws)[:, [1]], net(ws[:, [1]]))


# ---- convolutions


@each_format
@pytest.mark.parametrize("up", [1, 2])
def test_modulated_convolution_is_the_formula(channels_last, up):
    found, weight, x = styles(), filters(), features(channels_last=channels_last)
    resample = setup_filter([1, 3, 3, 1]).double()
    how = {"up": up, "padding": 1, "resample_filter": resample, "flip_weight": up == 1, "gain": 1.5}
    noise = torch.ones([SIZE * up, SIZE * up], dtype=torch.float64)
    found_y = modulated_conv2d_by_map(x, weight, found, noise=noise, **how)
    norms = (weight[None] * found.mean()[:, None, :, None, None]).square().sum((2, 3, 4)).add(1e-8).sqrt()
    plain = modulated_conv2d(x * found.pixels(x), weight, torch.ones(N, C).double(), demodulate=False, **how)
    torch.testing.assert_close(found_y, plain / norms[:, :, None, None] + 1)


@each_format
@pytest.mark.parametrize("up", [1, 2])
def test_without_objects_it_is_the_modulated_convolution_of_the_background(channels_last, up):
    found, weight, x = silent(styles()), filters(), features(channels_last=channels_last)
    how = {"up": up, "padding": 1, "resample_filter": setup_filter([1, 3, 3, 1]).double(), "flip_weight": up == 1}
    expected = modulated_conv2d(x, weight, found.background, **how)
    assert torch.equal(modulated_conv2d_by_map(x, weight, found, **how), expected)


@pytest.mark.parametrize("up", [1, 2])
def test_minimal_filtering_in_inference_mode_gives_the_same(up, generator):
    """And, without objects, what a modulated convolution gives there, bit for bit, although it scales on the way."""
    check_native()
    draw = {"generator": generator()}
    x, weight = torch.randn([N, 32, 16, 16], **draw), torch.randn([48, 32, 3, 3], **draw)
    found = StyleMap(torch.randn([N, OBJECTS, 32], **draw), make_layout(N, (OBJECTS,)).heatmaps(0, 16), x[:, :, 0, 0])
    how = {
        "up": up,
        "padding": 1,
        "resample_filter": setup_filter([1, 3, 3, 1]),
        "flip_weight": up == 1,
        "noise": torch.randn([16 * up] * 2, **draw),
        "bias": weight[:, 0, 0, 0],
        "act": "lrelu",
        "clamp": 1.0,
    }
    expected = modulated_conv2d_by_map(x, weight, found, **how)
    with torch.inference_mode(), use("native"):
        torch.testing.assert_close(modulated_conv2d_by_map(x, weight, found, **how), expected, rtol=0, atol=3e-5)
        without = modulated_conv2d_by_map(x, weight, silent(found), **how)
        assert torch.equal(without, modulated_conv2d(x, weight, found.background, **how))


@each_format
def test_pointwise_convolution_is_the_formula(channels_last):
    found, weight, x = styles(), filters(3, 1), features(channels_last=channels_last)
    expected = torch.einsum("oi,nihw->nohw", weight[:, :, 0, 0], x * found.pixels(x))
    torch.testing.assert_close(pointwise_by_map(x, weight, found), expected)


def test_half_precision_stays_in_range():
    """Styles and weights far beyond what float16 multiplies: demodulation cancels their size."""
    found, weight, x = styles().scaled(300.0), filters() * 100, features()
    expected = modulated_conv2d_by_map(x, weight, found, padding=1)
    low = StyleMap(*(part.float() for part in (found.objects, found.heatmaps, found.background)))
    half = modulated_conv2d_by_map(x.half(), weight.float(), low, padding=1)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.double(), expected, rtol=0.02, atol=0.02)


@each_format
def test_gradients_of_first_and_second_order(channels_last):
    found, weight, x = styles(), filters(2), features(channels_last=channels_last)
    parts = [t.requires_grad_() for t in (x, weight, found.objects, found.heatmaps, found.background)]

    def convolve(x, weight, *parts):
        return modulated_conv2d_by_map(x, weight, StyleMap(*parts), padding=1)

    assert torch.autograd.gradcheck(convolve, parts, fast_mode=True)
    assert torch.autograd.gradgradcheck(convolve, parts, fast_mode=True)


def test_evened_styles_have_the_size_of_their_mean_at_every_pixel(generator):
    draw = {"generator": generator()}
    styles = StyleMap(
        torch.randn([N, OBJECTS, 32], **draw),
        make_layout(N, (OBJECTS,)).heatmaps(0, 16, floor=0.0),
        torch.randn([N, 32], **draw),
    )
    x = torch.zeros(N, 32, 16, 16)
    even = styles.pixels(x) * styles.evening()
    expected = styles.mean().square().sum(1)[:, None, None].expand(-1, 16, 16)
    torch.testing.assert_close(even.square().sum(1), expected, rtol=1e-4, atol=1e-4)


def test_with_even_styles_objects_do_not_outshine_their_surroundings():
    """Layers in a row: the size of activations inside objects, as a multiple of that outside."""
    heatmaps = make_layout(4, (3,)).heatmaps(0, 32, floor=0.0)
    inside = heatmaps.amax(1) > 0.5

    def ratio(demodulation: str) -> float:
        x = torch.randn([4, 32, 32, 32], generator=torch.Generator().manual_seed(0))
        stream = torch.Generator().manual_seed(1)
        for _ in range(4):
            styles = StyleMap(
                torch.randn([4, 3, 32], generator=stream), heatmaps, 1 + torch.randn([4, 32], generator=stream)
            )
            weight = torch.randn([32, 32, 3, 3], generator=stream)
            how = {"padding": 1, "act": "lrelu", "act_gain": 2**0.5, "demodulation": demodulation}
            x = modulated_conv2d_by_map(x, weight, styles, **how)
        size = x.square().mean(1)
        return (size[inside].mean() / size[inside.logical_not()].mean()).sqrt().item()

    assert ratio("mean") > 1.3
    assert ratio("pixel") < 1.15


def test_without_heatmaps_evening_changes_nothing(generator):
    draw = {"generator": generator()}
    nothing = torch.zeros(N, OBJECTS, 8, 8)
    styles = StyleMap(torch.randn([N, OBJECTS, 32], **draw), nothing, torch.randn([N, 32], **draw))
    torch.testing.assert_close(styles.evening(), torch.ones(N, 1, 8, 8), rtol=1e-5, atol=0)
