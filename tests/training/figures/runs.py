"""A run directory of untrained networks with its training images and statistics."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.tiny_models import tiny_config, tiny_generator
from tests.training.data_samples import write_zip
from tests.training.saved import save_snapshot
from tests.training.small import seeded
from training.config import DataConfig
from training.networks.discriminator import Discriminator
from training.runs.snapshot import snapshot_name


def make_run(folder: Path, method: str = "spatialgan", kimg=(1, 2, 4), classes: int = 0, resolution: int = 32) -> Path:
    """`folder`/run with a snapshot at each of `kimg`, of other weights each; its data are in `folder`."""
    run, data = folder / f"run-{method}", write_data(folder / f"data{resolution}.zip", resolution, classes)
    run.mkdir()
    config = tiny_config(method, resolution=resolution, classes=classes)
    config = config.model_copy(update={"data": DataConfig(path=str(data), conditional=classes > 0)})
    for number in kimg:
        G, D = tiny_generator(config), seeded(lambda: Discriminator(config.discriminator), number)
        for parameter in G.synthesis.parameters():
            parameter.data *= 1 + 0.02 * number
        save_snapshot(run / snapshot_name(number), config, number, {"G": G, "G_ema": G, "D": D})
    write_scores(run)
    return run


def write_data(path: Path, resolution: int, classes: int) -> Path:
    """Eight pictures of noise, with classes in turn."""
    rng = np.random.default_rng(0)
    images = {
        f"{n}.png": Image.fromarray(rng.integers(0, 256, (resolution, resolution, 3), dtype=np.uint8)) for n in range(8)
    }
    labels = [[name, n % classes] for n, name in enumerate(images)] if classes else None
    return write_zip(path, images, {"labels": labels})


def write_scores(run: Path, ticks: int = 12) -> None:
    """stats.jsonl with lowest real scores -1, -2, ... and highest generated ones 1, 2, ..."""
    lines = [{"kimg": n, "scores/real/min": -n, "scores/fake/max": n} for n in range(1, ticks + 1)]
    (run / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
