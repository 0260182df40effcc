"""The losses as formulas: values, gradients, penalties of functions whose derivative is known."""

import math

import pytest
import torch

from training.losses import adversarial

pytestmark = pytest.mark.numeric


def test_logistic_losses():
    fake, real = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [-1.0]])
    expected = [math.log(2), math.log(1 + math.exp(-2))]
    assert adversarial.generator_loss(fake).flatten().tolist() == pytest.approx(expected)
    expected = [2 * math.log(2), math.log(1 + math.exp(2)) + math.log(1 + math.exp(1))]
    assert adversarial.discriminator_loss(fake, real).flatten().tolist() == pytest.approx(expected)


def test_losses_push_the_logits_the_right_way():
    fake, real = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    adversarial.discriminator_loss(fake, real).sum().backward()
    assert fake.grad > 0 > real.grad
    fake.grad = None
    adversarial.generator_loss(fake).sum().backward()
    assert fake.grad < 0


def test_losses_are_finite_for_large_logits():
    extreme = torch.tensor([-1e4, 1e4])
    assert adversarial.generator_loss(extreme).tolist() == [1e4, 0]
    assert adversarial.discriminator_loss(extreme, extreme.flip(0)).tolist() == [0, 2e4]


def test_hinge_losses():
    fake, real = torch.tensor([[-2.0], [0.5]]), torch.tensor([[3.0], [0.5]])
    assert adversarial.generator_hinge_loss(fake).flatten().tolist() == [2, -0.5]
    assert adversarial.discriminator_hinge_loss(fake, real).flatten().tolist() == [0, 2]
