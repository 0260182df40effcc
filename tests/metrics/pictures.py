"""Pictures in folders, for metrics that compare files."""

from pathlib import Path

import numpy as np
from PIL import Image


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
