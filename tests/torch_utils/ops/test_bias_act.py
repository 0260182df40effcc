"""bias_act: derivatives of every activation against finite differences, gains, clamps and dimensions."""

import pytest
import torch

from tests.implementations import each_implementation
from torch_utils.ops import bias_act
from torch_utils.ops.bias_act import ACTIVATIONS

pytestmark = [pytest.mark.numeric, *each_implementation]

each_activation = pytest.mark.parametrize("act", ACTIVATIONS)


def away_from_kinks(shape: list[int], generator: torch.Generator) -> torch.Tensor:
    """Numbers between 0.1 and 1.1 of either sign."""
    x = torch.rand(shape, generator=generator, dtype=torch.float64) + 0.1
    sign = torch.rand(shape, generator=generator, dtype=torch.float64) - 0.5
    return (x * sign.sign()).requires_grad_()


@each_activation
@pytest.mark.parametrize("options", [{}, {"gain": 0.7}, {"gain": 3.0, "clamp": 0.9}], ids=["plain", "gain", "clamp"])
def test_first_and_second_derivatives(act, options, generator):
    x = away_from_kinks([2, 3, 2], generator())
    b = torch.zeros([3], dtype=torch.float64, requires_grad=True)

    def squared(x, b):
        return bias_act(x, b, act=act, **options).square()

    assert torch.autograd.gradcheck(squared, (x, b))
    assert torch.autograd.gradgradcheck(squared, (x, b))


@pytest.mark.parametrize("alpha", [0.0, 0.35, 1.5])
def test_slope_of_lrelu(alpha, generator):
    x = away_from_kinks([2, 4], generator())
    expected = torch.where(x > 0, x, alpha * x) * 2**0.5
    torch.testing.assert_close(bias_act(x, act="lrelu", alpha=alpha), expected)
    assert torch.autograd.gradgradcheck(lambda x: bias_act(x, act="lrelu", alpha=alpha).square(), x)


@each_activation
def test_gain_replaces_the_default_one(act, generator):
    x = away_from_kinks([2, 4], generator())
    torch.testing.assert_close(bias_act(x, act=act) / ACTIVATIONS[act].gain, bias_act(x, act=act, gain=1))


@each_activation
def test_homogeneous_activations_commute_with_positive_factors(act, generator):
    x = away_from_kinks([3, 8], generator())
    same = torch.allclose(bias_act(2.5 * x, act=act), 2.5 * bias_act(x, act=act))
    assert same == ACTIVATIONS[act].homogeneous


@each_activation
def test_input_is_left_alone(act, generator):
    x = away_from_kinks([2, 4], generator()).detach()
    before = x.clone()
    bias_act(x, torch.ones(4, dtype=x.dtype), act=act, gain=2, clamp=1)
    assert torch.equal(x, before)


def test_clamp_limits_the_scaled_value_and_stops_gradients():
    x = torch.tensor([-2.0, 0.3, 2.0], requires_grad=True)
    y = bias_act(x, gain=3, clamp=1.5)
    y.sum().backward()
    assert y.tolist() == pytest.approx([-1.5, 0.9, 1.5])
    assert x.grad.tolist() == [0, 3, 0]


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_bias_runs_along_the_chosen_dimension(dim):
    x = torch.zeros(2, 3, 4)
    b = torch.arange(x.shape[dim], dtype=torch.float32)
    y = bias_act(x, b, dim=dim)
    assert torch.equal(y.movedim(dim, -1), b.expand(y.movedim(dim, -1).shape))


def test_bias_takes_the_type_of_the_input():
    y = bias_act(torch.zeros(1, 2, dtype=torch.float16), torch.ones(2))
    assert y.dtype == torch.float16
