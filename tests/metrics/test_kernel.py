"""Kernel distances."""

import pytest
import torch

from dnnlib.errors import UserError
from metrics.kernel import kernel_distance, squared_mmd

pytestmark = pytest.mark.numeric


def sets(n=30, m=40, width=5):
    draw = torch.Generator().manual_seed(8)
    return torch.randn(n, width, generator=draw), torch.randn(m, width, generator=draw) + 0.3


def test_as_defined():
    x, y = (features[:12].double() for features in sets())

    def k(a, b):
        return (a.dot(b).item() / 5 + 1) ** 3

    within = sum(k(s[i], s[j]) for s in (x, y) for i in range(12) for j in range(12) if i != j) / (12 * 11)
    across = sum(k(a, b) for a in x for b in y) / 144
    assert squared_mmd(x, y).item() == pytest.approx(within - 2 * across, rel=1e-12)


def test_subsets_come_from_both_sets_and_are_the_same_each_time():
    x, y = sets()
    values = {kernel_distance(x, y, subsets=20, subset_size=10) for _ in range(2)}
    assert len(values) == 1
    assert values != {kernel_distance(x, y, subsets=21, subset_size=10)}
    assert kernel_distance(x, y, subsets=400, subset_size=10) == pytest.approx(kernel_distance(x, y), abs=0.1)


def test_sets_from_one_distribution_are_near_zero():
    draw = torch.Generator().manual_seed(1)
    x, y = torch.randn(2, 500, 5, generator=draw)
    assert abs(kernel_distance(x, y)) < 0.01 < kernel_distance(x, y + 1)


def test_one_image_is_refused():
    x, y = sets()
    with pytest.raises(UserError, match="at least 2 of each"):
        kernel_distance(x[:1], y)
