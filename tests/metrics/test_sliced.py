"""MIND against distances that are known."""

import numpy as np
import pytest
import scipy.stats
import torch

from dnnlib.errors import UserError
from metrics.sliced import sliced_distance

pytestmark = pytest.mark.numeric


def normal(count: int, features: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, features)))


def test_the_same_set_in_another_order_is_at_0():
    x = normal(300)
    assert sliced_distance(x, x.flip(0)) == pytest.approx(0, abs=1e-12)


def test_a_shift_counts_by_its_length_over_the_root_of_the_features():
    x = normal(200, 64)
    assert sliced_distance(x, x + 3.0) == pytest.approx(3.0, rel=0.05)  # |d| = 3 sqrt(64)


def test_a_scale_is_the_difference_of_deviations():
    x = normal(4000, 16)
    assert sliced_distance(x, 2 * x) == pytest.approx(1.0, rel=0.03)


def test_along_one_feature_it_is_the_wasserstein_distance_also_of_sets_of_other_sizes():
    x, y = normal(60, 1), normal(35, 1, seed=1) * 2 + 1
    positions = (np.arange(60 * 35) + 0.5) / (60 * 35)
    quantiles = [np.sort(one[:, 0].numpy())[(positions * len(one)).astype(int)] for one in (x, y)]
    expected = np.sqrt(np.mean((quantiles[0] - quantiles[1]) ** 2))
    assert sliced_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert sliced_distance(x, y) >= scipy.stats.wasserstein_distance(x[:, 0], y[:, 0])


def test_repeating_a_set_changes_nothing():
    x, y = normal(40), normal(50, seed=1)
    assert sliced_distance(x.repeat(3, 1), y) == pytest.approx(sliced_distance(x, y), rel=1e-9)


def test_one_image_is_refused():
    with pytest.raises(UserError, match="at least 2 images"):
        sliced_distance(normal(1), normal(5))
