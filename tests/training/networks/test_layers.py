"""Equalised layers: gains, learning rate multipliers, resampling, clamps."""

import pytest
import torch
import torch.nn.functional as F

from tests.implementations import check_native
from tests.training.small import seeded
from torch_utils import ops
from torch_utils.ops import winograd
from torch_utils.ops.bias_act import ACTIVATIONS
from training.networks.layers import Conv2d, Linear, normalize_2nd_moment, split_gain


def test_linear_is_scaled_by_its_fan_in(generator):
    layer, x = seeded(lambda: Linear(9, 4, bias_init=0.5)), torch.randn([3, 9], generator=generator())
    torch.testing.assert_close(layer(x), x @ layer.weight.T / 3 + 0.5)


@pytest.mark.parametrize("multiplier", [0.01, 0.5])
def test_lr_multiplier_changes_the_learning_speed_but_not_the_result(multiplier, generator):
    x = torch.randn([3, 9], generator=generator())
    plain, slow = (seeded(lambda m=m: Linear(9, 4, "lrelu", m, bias_init=1.0)) for m in (1.0, multiplier))
    torch.testing.assert_close(slow(x), plain(x))
    for layer in (plain, slow):
        layer(x).sum().backward()
    torch.testing.assert_close(slow.weight.grad, plain.weight.grad * multiplier)
    torch.testing.assert_close(slow.bias.grad, plain.bias.grad * multiplier)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_conv_applies_activation_gain_and_clamp(activation, generator):
    layer = seeded(lambda: Conv2d(4, 6, 3, activation=activation, clamp=0.4))
    layer.bias.data.normal_(generator=generator())
    x = torch.randn([2, 4, 5, 5], generator=generator(1))
    kind = ACTIVATIONS[activation]
    inner = F.conv2d(x, layer.weight / 6, layer.bias, padding=1)
    expected = kind.function(inner, kind.alpha) * kind.gain * 0.5
    torch.testing.assert_close(layer(x, gain=0.5), expected.clamp(-0.2, 0.2))


@pytest.mark.parametrize("options, size", [({}, 8), ({"up": 2}, 16), ({"down": 2}, 4)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_conv_keeps_the_size_times_its_resampling(options, size, kernel):
    assert Conv2d(3, 5, kernel, **options)(torch.zeros(2, 3, 8, 8)).shape == (2, 5, size, size)


def test_conv_without_bias_has_none():
    assert [name for name, _ in Conv2d(3, 5, 1, bias=False).named_parameters()] == ["weight"]


def test_resample_filter_is_not_saved():
    assert set(Conv2d(3, 5, 1).state_dict()) == {"weight", "bias"}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_split_gain_gives_the_same_as_one_gain_after(activation, generator):
    x, kind = torch.randn([50], generator=generator()), ACTIVATIONS[activation]
    before, after = split_gain(activation, 0.6)
    expected = kind.function(x, kind.alpha) * (kind.gain * 0.6)
    torch.testing.assert_close(kind.function(x * before, kind.alpha) * after, expected)


def test_normalised_rows_have_unit_mean_square(generator):
    x = torch.randn([4, 32], generator=generator()) * 7
    torch.testing.assert_close(normalize_2nd_moment(x).square().mean(1), torch.ones(4))
    assert normalize_2nd_moment(torch.zeros(1, 3)).tolist() == [[0, 0, 0]]


def test_dilated_convolution(generator):
    conv = seeded(lambda: Conv2d(2, 3, 3, dilation=2, activation="lrelu"))
    x = torch.randn([1, 2, 7, 7], generator=generator())
    expected = F.conv2d(x, conv.weight / 18**0.5, conv.bias, padding=2, dilation=2)
    torch.testing.assert_close(conv(x), F.leaky_relu(expected, 0.2) * 2**0.5)
    with pytest.raises(ValueError, match="neither enlarges nor reduces"):
        Conv2d(2, 3, 3, dilation=2, up=2)


@pytest.mark.parametrize("activation", ["linear", "lrelu", "swish"])
def test_minimal_filtering_in_inference_mode_gives_the_same(activation, generator):
    """Where the layer takes it (torch_utils.ops.winograd); its filters follow the weights."""
    check_native()
    layer = seeded(lambda: Conv2d(32, 48, 3, activation=activation, clamp=0.9))
    torch.nn.init.normal_(layer.bias, generator=generator(1))
    x = torch.randn([2, 32, 16, 16], generator=generator()).contiguous(memory_format=torch.channels_last)
    for _ in range(2):
        expected = layer(x, gain=0.7)
        with torch.inference_mode(), ops.use("native"):
            assert winograd.takes(x, layer.weight, 1, 1, layer.padding)
            torch.testing.assert_close(layer(x, gain=0.7), expected, rtol=0, atol=5e-5)
        with torch.no_grad():
            layer.weight.neg_()


def test_minimal_filtering_leaves_other_convolutions_alone(generator):
    check_native()
    x = torch.randn([1, 16, 24, 24], generator=generator())
    for options in ({"dilation": 2}, {"up": 2}, {"down": 2}):
        layer = seeded(lambda options=options: Conv2d(16, 16, 3, **options))
        expected = layer(x)
        with torch.inference_mode(), ops.use("native"):
            torch.testing.assert_close(layer(x), expected, rtol=0, atol=5e-5)
