"""The Neumann series is the dense solve where the bound holds, and is refused where it does not."""

import pytest
import torch
from torch import Tensor

from editing.latent.neumann import neumann


def matrices(norm: float, count: int = 4, width: int = 12, seed: int = 0) -> Tensor:
    """Random [count, width, width] whose operator norms are `norm`."""
    J = torch.randn([count, width, width], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return J / torch.linalg.matrix_norm(J, 2)[:, None, None] * norm


@pytest.mark.parametrize("norm", [0.0, 0.3, 0.9, 0.99])
def test_the_series_converges_to_the_dense_solve(norm: float):
    J, b = matrices(norm), torch.randn([4, 12], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    exact = torch.linalg.solve(torch.eye(12, dtype=b.dtype) - J, b[..., None])[..., 0]
    found = neumann(lambda x: (J @ x[..., None])[..., 0], b, norm, order=5000)
    assert ((found - exact).norm(dim=1) <= 1e-4 * exact.norm(dim=1)).all()


def test_the_slowest_matrix_of_a_norm_converges_too():
    """For J = norm times the identity, every term is as long as the bound allows."""
    b = torch.ones(2, 5, dtype=torch.float64)
    found = neumann(lambda x: 0.95 * x, b, 0.95, order=5000, tolerance=1e-4)
    assert (found - b / 0.05).norm() <= 1e-4 * (b / 0.05).norm()


def test_a_truncated_series_has_so_many_terms():
    found = neumann(lambda x: 0.5 * x, torch.ones(1, 1), 0.5, order=2, tolerance=0.0)
    assert float(found) == 1.75


def test_the_series_ends_when_what_is_left_out_is_small():
    calls = []
    neumann(lambda x: calls.append(1) or 0.1 * x, torch.ones(1, 3), 0.1, order=1000, tolerance=2e-5)
    assert len(calls) == 4


@pytest.mark.parametrize("bound", [1.0, 1.5, float("inf"), float("nan"), -0.1])
def test_a_bound_of_1_or_more_is_refused(bound: float):
    with pytest.raises(ValueError, match="needs a norm below 1"):
        neumann(lambda x: x, torch.ones(1, 1), bound, order=3)
