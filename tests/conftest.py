"""What all tests share: one torch thread, seeded generators, a choice of operators, a cache to throw away, weights."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from dnnlib.cache import cache_folder
from tests.implementations import check_native
from tests.metrics.det_weights import write_inception
from tests.pydantic_or_stand_in import IS_STAND_IN
from torch_utils import ops

# Several tests run side by side; sums in one thread also come out the same on every machine.
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without pydantic only the tests marked gpu are sound."""
    for item in items if IS_STAND_IN else ():
        if item.get_closest_marker("gpu") is None:
            item.add_marker(pytest.mark.skip(reason="pydantic is missing"))


@pytest.fixture
def generator() -> Callable[..., torch.Generator]:
    """`generator(seed=0, device="cpu")` makes a torch.Generator of its own with that seed."""

    def make(seed: int = 0, device: str = "cpu") -> torch.Generator:
        return torch.Generator(device=device).manual_seed(seed)

    return make


@pytest.fixture
def no_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run without what the run costs, which takes seconds, and has tests of its own."""
    monkeypatch.setattr("training.cost.summary.summarize", lambda config: None)
    monkeypatch.setattr("training.cost.summary.table", lambda found: "")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    """A cache folder of the test's own in place of the user's, with nothing but the native operators in it."""
    folder, built = tmp_path_factory.mktemp("cache"), cache_folder("native")
    (folder / "native").symlink_to(built)
    monkeypatch.setenv("STEERGAN_CACHE", str(folder))
    return folder


@pytest.fixture
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs save sample pictures of two seeds only: most of a short run's time would go into them."""
    from training.pictures import grids  # not every test has to import it

    save = grids.save_training_samples
    monkeypatch.setattr(grids, "save_training_samples", lambda *about: save(*about, seeds=range(2)))


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory) -> Path:
    """InceptionV3's weights of the recipe, with a gain at which features depend on the picture."""
    return write_inception(tmp_path_factory.mktemp("weights") / "inception.safetensors", gain=1.5)


@pytest.fixture
def implementation(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run with the operators that `each_implementation` (tests/implementations.py) names."""
    if request.param == "native":
        check_native()
    with ops.use(request.param):
        yield request.param
