"""What all tests share: one torch thread, seeded generators, a cache to throw away, and weights that a recipe makes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.metrics.det_weights import write_inception

# Several tests run side by side; sums in one thread also come out the same on every machine.
torch.set_num_threads(1)


@pytest.fixture
def generator() -> Callable[..., torch.Generator]:
    """`generator(seed=0, device="cpu")` makes a torch.Generator of its own with that seed."""

    def make(seed: int = 0, device: str = "cpu") -> torch.Generator:
        return torch.Generator(device=device).manual_seed(seed)

    return make


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    """An empty cache folder of the test's own, in place of the user's; made when something is kept."""
    folder = tmp_path_factory.mktemp("caches") / "cache"
    monkeypatch.setenv("STEERGAN_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory) -> Path:
    """InceptionV3's weights of the recipe, with a gain at which features depend on the picture."""
    return write_inception(tmp_path_factory.mktemp("weights") / "inception.safetensors", gain=1.5)
