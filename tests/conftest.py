"""What all tests share: one torch thread, and seeded generators."""

from collections.abc import Callable

import pytest
import torch

# Several tests run side by side; sums in one thread also come out the same on every machine.
torch.set_num_threads(1)


@pytest.fixture
def generator() -> Callable[..., torch.Generator]:
    """`generator(seed=0, device="cpu")` makes a torch.Generator of its own with that seed."""

    def make(seed: int = 0, device: str = "cpu") -> torch.Generator:
        return torch.Generator(device=device).manual_seed(seed)

    return make
