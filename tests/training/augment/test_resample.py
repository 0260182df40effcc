"""Resampling: any number of derivatives, the same result with and without waiting, nothing lost where nothing moves."""

import math

import pytest
import torch
from torch import Tensor

from torch_utils.ops import setup_filter
from training.augment.affine import Affine
from training.augment.resample import Sample, resample
from training.augment.wavelets import symlet

pytestmark = pytest.mark.numeric

TAPS = setup_filter(list(symlet(6)))


def identity(count: int, dtype: torch.dtype = torch.float64) -> Affine:
    return Affine.identity(count, dtype, torch.device("cpu"))


def random_geometry(count: int, generator: torch.Generator, reach: float = 5.0, size: float = 0.5) -> Affine:
    """Any rotation, factors around 1, shifts up to `reach` pixels."""
    u = torch.rand(5, count, generator=generator, dtype=torch.float64) * 2 - 1
    geometry = identity(count).rotated(u[0] * math.pi).scaled((u[1] * size).exp2(), (u[2] * size).exp2())
    return geometry.shifted(u[3] * reach, u[4] * reach)


def random_images(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1


def test_sampling_has_first_and_second_derivatives(generator):
    stream = generator(1)
    images = random_images(2, 1, 3, 4, generator=stream).requires_grad_()
    grid = torch.rand(2, 3, 2, 2, generator=stream, dtype=torch.float64) * 2.4 - 1.2
    assert torch.autograd.gradcheck(lambda x: Sample.apply(x, grid), images)
    assert torch.autograd.gradgradcheck(lambda x: Sample.apply(x, grid).square(), images)


@pytest.mark.parametrize("wait", [True, False])
def test_resampling_has_first_and_second_derivatives(generator, wait):
    """As R1 needs them: the loss is a square of a gradient that went through the resampling."""
    stream = generator(2)
    images = random_images(2, 1, 4, 5, generator=stream).requires_grad_()
    geometry = random_geometry(2, stream, reach=1.0)
    assert torch.autograd.gradcheck(lambda x: resample(x, geometry, TAPS, wait), images)
    assert torch.autograd.gradgradcheck(lambda x: resample(x, geometry, TAPS, wait).pow(3), images)


@pytest.mark.parametrize("shape", [(3, 3, 16, 16), (3, 1, 8, 20)])
@pytest.mark.parametrize("reach, size", [(1.0, 0.1), (6.0, 0.5), (40.0, 2.0)])
def test_the_largest_padding_blanked_out_gives_the_same(generator, shape, reach, size):
    """Also where the image is not mirrored far enough, and the black beyond shows."""
    stream = generator(3)
    images, geometry = random_images(*shape, generator=stream), random_geometry(shape[0], stream, reach, size)
    small, large = (resample(images, geometry, TAPS, wait) for wait in (True, False))
    torch.testing.assert_close(large, small, rtol=0, atol=1e-12)


def test_samples_that_do_not_move_keep_their_bits(generator):
    images = random_images(3, 3, 16, 16, generator=generator(4)).float()
    geometry = identity(3, torch.float32).shifted(torch.tensor([0.0, 1.0, 0.0]), torch.zeros(3))
    result = resample(images, geometry, TAPS)
    assert torch.equal(result[0], images[0])
    assert torch.equal(result[2], images[2])
    assert not torch.allclose(result[1], images[1], atol=0.1)


def test_shifts_by_whole_pixels_are_exact_up_to_rounding(generator):
    """The filter is orthonormal, so that reading at the pixels themselves gives them back."""
    images = random_images(1, 3, 16, 16, generator=generator(5))
    two, zero = (torch.tensor([value], dtype=torch.float64) for value in (2.0, 0.0))
    shifted = resample(images, identity(1).shifted(two, zero), TAPS)
    torch.testing.assert_close(shifted[..., :14], images[..., 2:], rtol=0, atol=1e-6)
    torch.testing.assert_close(shifted[..., 14:], images[..., [14, 13]], rtol=0, atol=1e-6)  # mirrored at pixel 15


def test_beyond_the_mirror_images_it_is_black(generator):
    images = random_images(1, 3, 16, 16, generator=generator(6)) + 2
    far, zero = (torch.tensor([value], dtype=torch.float64) for value in (60.0, 0.0))
    assert resample(images, identity(1).shifted(far, zero), TAPS).abs().max() < 1e-9
