"""R1, path lengths and movements, on functions whose gradients are known."""

import pytest
import torch

from training.losses import regularizers

pytestmark = pytest.mark.numeric


def test_r1_of_a_linear_score_is_its_squared_slope(generator):
    images = torch.randn([3, 2, 4, 4], generator=generator(), requires_grad=True)
    slope = torch.randn([2, 4, 4], generator=generator(1))
    logits = (images * slope).sum((1, 2, 3))[:, None]
    penalty = regularizers.r1_penalty(logits, images)
    torch.testing.assert_close(penalty, slope.square().sum().expand(3))


def test_r1_can_be_trained_on(generator):
    images = torch.randn([3, 2, 4, 4], generator=generator(), requires_grad=True)
    weight = torch.tensor(2.0, requires_grad=True)
    regularizers.r1_penalty(((images * weight).sum((1, 2, 3)))[:, None], images).sum().backward()
    assert weight.grad.item() == pytest.approx(3 * 2 * weight.item() * 32)


def test_path_length_of_a_linear_generator(generator):
    ws = torch.randn([2, 3, 5], generator=generator(), requires_grad=True)
    matrix = torch.randn([3, 5, 1, 4, 4], generator=generator(1))
    noise = torch.randn([2, 1, 4, 4], generator=generator(2))
    lengths = regularizers.path_lengths(torch.einsum("nkw,kwchv->nchv", ws, matrix), ws, noise)
    jacobian = torch.einsum("nchv,kwchv->nkw", noise / 4, matrix)
    torch.testing.assert_close(lengths, jacobian.square().sum(2).mean(1).sqrt())


def test_path_penalty_uses_the_updated_mean_and_lets_gradients_through_it():
    lengths = torch.tensor([1.0, 3.0], requires_grad=True)
    penalty, mean = regularizers.path_length_penalty(lengths, torch.tensor(1.0), decay=0.1)
    assert mean.item() == pytest.approx(1.1)
    assert penalty.tolist() == pytest.approx([0.01, 3.61])
    penalty.sum().backward()
    through_the_mean = -2 * (-0.1 + 1.9) * 0.05
    assert lengths.grad.tolist() == pytest.approx([2 * -0.1 + through_the_mean, 2 * 1.9 + through_the_mean])


def test_path_length_of_several_codes_is_that_of_one_long_code(generator):
    ws = torch.randn([2, 5, 3, 4], generator=generator(), requires_grad=True)
    slope = torch.randn([5, 12, 6], generator=generator(1))
    images = torch.einsum("nli,lij->nj", ws.flatten(2), slope)[:, None, :, None]
    noise = torch.randn(images.shape, generator=generator(2))
    gradient = torch.einsum("lij,nj->nli", slope, noise[:, 0, :, 0] / 6**0.5)
    expected = gradient.square().sum(2).mean(1).sqrt()
    torch.testing.assert_close(regularizers.path_lengths(images, ws, noise), expected)


def test_movement_speed_is_change_over_step():
    before = torch.zeros(2, 1, 2, 2)
    after = torch.tensor([[[[0.3, 0.3], [0.3, 0.3]]], [[[0.4, 0], [0, 0]]]])
    torch.testing.assert_close(regularizers.movement_speeds(before, after, 0.1), torch.tensor([3.0, 2.0]))


def test_pictures_that_do_not_change_have_a_finite_gradient():
    picture = torch.zeros(1, 1, 2, 2, requires_grad=True)
    regularizers.movement_speeds(torch.zeros(1, 1, 2, 2), picture, 0.1).sum().backward()
    assert picture.grad.isfinite().all()
