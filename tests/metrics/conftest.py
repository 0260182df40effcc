"""What tests of metrics share: weights that a recipe makes, written once; pictures; a cache that is thrown away."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.metrics.det_weights import write_inception


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder of the test's own."""
    monkeypatch.setenv("STEERGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory) -> Path:
    """InceptionV3's weights of the recipe, with a gain at which features depend on the picture."""
    return write_inception(tmp_path_factory.mktemp("weights") / "inception.safetensors", gain=1.5)


def write_pictures(folder: Path, seed: int, contrast=(0.3, 1.0), brightness=128, noise=0, count=12, side=32) -> Path:
    """PNG files of coloured clouds."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        clouds = Image.fromarray(rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)).resize((side, side), Image.BICUBIC)
        pixels = brightness + rng.uniform(*contrast) * (np.asarray(clouds).astype(float) - 128)
        pixels += rng.normal(0, 1, pixels.shape) * noise
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number:03d}.png")
    return folder
