"""What all tests share: one torch thread, seeded generators, and a choice of operators."""

from collections.abc import Callable, Iterator

import pytest
import torch

from tests.implementations import check_native
from torch_utils import ops

# Several tests run side by side; sums in one thread also come out the same on every machine.
torch.set_num_threads(1)


@pytest.fixture
def generator() -> Callable[..., torch.Generator]:
    """`generator(seed=0, device="cpu")` makes a torch.Generator of its own with that seed."""

    def make(seed: int = 0, device: str = "cpu") -> torch.Generator:
        return torch.Generator(device=device).manual_seed(seed)

    return make


@pytest.fixture
def implementation(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run with the operators that `each_implementation` (tests/implementations.py) names."""
    if request.param == "native":
        check_native()
    with ops.use(request.param):
        yield request.param
