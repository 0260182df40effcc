"""Fréchet distances: known values, few images, and the time that they take."""

import time

import numpy as np
import pytest
import scipy.linalg
import torch

from dnnlib.errors import UserError
from metrics.frechet import SMALL, factor, frechet_distance, nuclear_norm, trace_of_root
from metrics.moments import FeatureStatistics, Moments, moments_of

pytestmark = pytest.mark.numeric


def features(count: int, width: int, seed: int = 0) -> torch.Tensor:
    """Correlated, with a mean other than zero; float32."""
    draw = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=draw) / width**0.5
    return torch.randn(count, width, generator=draw) @ mixing + torch.rand(width, generator=draw)


def test_of_gaussians_that_are_known():
    a = Moments(9, torch.zeros(2).double(), torch.diag(torch.tensor([1.0, 4.0]).double()))
    b = Moments(9, torch.tensor([3.0, 4.0]).double(), torch.diag(torch.tensor([9.0, 16.0]).double()))
    assert frechet_distance(a, b) == pytest.approx(25 + (3 - 1) ** 2 + (4 - 2) ** 2, rel=1e-12)


def test_the_root_is_that_of_the_matrix_product():
    a, b = (moments_of(features(100, 12, seed)).covariance for seed in (1, 2))
    root = scipy.linalg.sqrtm(a.numpy() @ b.numpy())
    assert trace_of_root(a, b).item() == pytest.approx(np.trace(root).real, rel=1e-10)


@pytest.mark.parametrize("count", [2, 50, 511, 513, 1200])
def test_identical_sets_are_at_distance_zero(count):
    moments = moments_of(features(count, 512))
    assert abs(frechet_distance(moments, moments)) < 1e-6
    assert abs(frechet_distance(moments, moments, unbiased=True)) < 1e-6


def test_fewer_images_than_features():
    """Against the same distance in the small space that the images span, where covariances have full rank."""
    basis = torch.linalg.qr(torch.randn(300, 20, generator=torch.Generator().manual_seed(3)).double()).Q
    a, b = (features(200, 20, seed).double() for seed in (1, 2))
    expected = frechet_distance(moments_of(a), moments_of(b))
    assert frechet_distance(moments_of(a @ basis.T), moments_of(b @ basis.T)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("fall", [1, 1e-3, 1e-6, 1e-12], ids=str)
def test_the_two_ways_to_singular_values_agree(fall):
    """However far the values fall; from 1e-6 or so on, eigenvalues would not do."""
    draw, size = torch.Generator().manual_seed(5), SMALL + 40
    u, v = (torch.linalg.qr(torch.randn(size, size, generator=draw).double()).Q for _ in range(2))
    values = fall ** torch.linspace(0, 1, size).double()
    matrix = (u * values) @ v.T
    assert nuclear_norm(matrix).item() == pytest.approx(values.sum().item(), rel=1e-9)
    assert nuclear_norm(matrix[:-20]).item() == pytest.approx(torch.linalg.svdvals(matrix[:-20]).sum().item(), rel=1e-9)


def test_a_factor_of_a_matrix_without_full_rank():
    covariance = moments_of(features(7, 40)).covariance
    lower = factor(covariance)
    assert lower.shape == (40, 6)
    assert torch.allclose(lower @ lower.T, covariance, rtol=0, atol=1e-12)


def test_one_picture_over_and_over():
    same = moments_of(features(1, 30).expand(10, -1))
    assert frechet_distance(same, same) == pytest.approx(0, abs=1e-9)


def test_one_image_is_refused():
    with pytest.raises(UserError, match="1 image has no spread"):
        frechet_distance(moments_of(features(1, 4)), moments_of(features(9, 4)))


def test_what_is_not_finite_has_no_distance():
    broken = features(9, 4)
    broken[3, 2] = float("nan")
    assert np.isnan(frechet_distance(moments_of(broken), moments_of(features(9, 4))))


def test_covariances_divided_by_one_less():
    x = features(20, 5)
    expected = np.cov(x.double().numpy(), rowvar=False)
    assert np.allclose(moments_of(x).unbiased_covariance.numpy(), expected, rtol=1e-10)


def test_batches_do_not_matter():
    x, statistics = features(50, 8), FeatureStatistics()
    for part in x.split([7, 30, 13]):
        statistics.add(part)
    assert torch.allclose(statistics.moments().covariance, moments_of(x).covariance, rtol=1e-12)


@pytest.mark.slow
def test_2048_features_take_seconds():
    """The bar is 2 s on two idle cores (benchmarks/metrics.py measures it); here, whatever else the machine does."""
    a, b = (moments_of(features(3000, 2048, seed)) for seed in (1, 2))
    start = time.process_time()
    assert np.isfinite(frechet_distance(a, b))
    assert time.process_time() - start < 10
