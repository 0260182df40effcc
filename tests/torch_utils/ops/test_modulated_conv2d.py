"""modulated_conv2d against explicitly scaled weights, its derivatives, and half precision."""

import pytest
import torch
from torch import Tensor

from tests.implementations import each_implementation
from torch_utils.ops import conv2d_resample, modulated_conv2d, setup_filter

pytestmark = [pytest.mark.numeric, *each_implementation]

FIR = setup_filter([1, 3, 3, 1])
SHAPES = [(1, 1), (3, 1), (3, 2)]  # kernel, up


def inputs(kernel: int, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """x [2, 3, 4, 4], weight [2, 3, k, k], styles [2, 3]."""
    draw = {"generator": generator, "dtype": dtype}
    styles = torch.randn([2, 3], **draw) + 1
    return torch.randn([2, 3, 4, 4], **draw), torch.randn([2, 3, kernel, kernel], **draw), styles


@pytest.mark.parametrize("kernel, up", SHAPES)
@pytest.mark.parametrize("demodulate", [True, False])
def test_equals_a_convolution_with_each_samples_own_weights(kernel, up, demodulate, generator):
    x, weight, styles = inputs(kernel, generator())
    y = modulated_conv2d(x, weight, styles, None, up, 1, kernel // 2, FIR, demodulate, flip_weight=False)
    for n in range(len(x)):
        own = weight * styles[n][None, :, None, None]
        if demodulate:
            own = own / (own.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected = conv2d_resample(x[n : n + 1], own, FIR, up, padding=kernel // 2, flip_weight=False)
        torch.testing.assert_close(y[n : n + 1], expected)


@pytest.mark.parametrize("kernel, up", SHAPES)
@pytest.mark.parametrize("demodulate", [True, False])
def test_first_and_second_derivatives(kernel, up, demodulate, generator):
    x, weight, styles = (t[:, :2, :3, :3] if t.ndim == 4 else t[:, :2] for t in inputs(kernel, generator()))
    noise = torch.randn([2, 1, 3 * up, 3 * up], generator=generator(1), dtype=torch.float64)
    given = tuple(t.clone().requires_grad_() for t in (x, weight, styles, noise))

    def convolve(x, weight, styles, noise):
        return modulated_conv2d(x, weight, styles, noise, up, 1, kernel // 2, FIR, demodulate)

    assert torch.autograd.gradcheck(convolve, given)
    assert torch.autograd.gradgradcheck(convolve, given, fast_mode=True)


@pytest.mark.parametrize("kernel, up", SHAPES)
@pytest.mark.parametrize("demodulate", [True, False])
def test_gain_multiplies_the_convolution_but_not_the_noise(kernel, up, demodulate, generator):
    x, weight, styles = inputs(kernel, generator())
    noise = torch.randn([4 * up, 4 * up], generator=generator(1), dtype=torch.float64)
    options = {"up": up, "padding": kernel // 2, "resample_filter": FIR, "demodulate": demodulate}
    plain = modulated_conv2d(x, weight, styles, **options)
    torch.testing.assert_close(modulated_conv2d(x, weight, styles, noise, gain=1.7, **options), plain * 1.7 + noise)


@pytest.mark.parametrize("kernel, up", SHAPES)
def test_channels_last_gives_the_same(kernel, up, generator):
    x, weight, styles = inputs(kernel, generator(), torch.float32)
    options = {"up": up, "padding": kernel // 2, "resample_filter": FIR}
    last = modulated_conv2d(x.contiguous(memory_format=torch.channels_last), weight, styles, **options)
    torch.testing.assert_close(last, modulated_conv2d(x, weight, styles, **options), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", [1, 3])
def test_half_precision_survives_large_weights_and_styles(kernel, generator):
    draw = {"generator": generator()}
    x, weight = torch.randn([2, 64, 4, 4], **draw), torch.randn([32, 64, kernel, kernel], **draw) * 300
    styles = torch.randn([2, 64], **draw) * 300
    y = modulated_conv2d(x.half(), weight, styles, padding=kernel // 2)
    assert y.dtype == torch.float16
    expected = modulated_conv2d(x, weight, styles, padding=kernel // 2)
    torch.testing.assert_close(y.float(), expected, rtol=0.02, atol=0.02)


def test_scale_of_weights_and_styles_cancels_in_demodulation(generator):
    x, weight, styles = inputs(3, generator())
    y = modulated_conv2d(x, weight, styles, padding=1)
    torch.testing.assert_close(modulated_conv2d(x, weight * 7, styles * 5, padding=1), y)
