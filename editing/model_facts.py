"""What the editor's page has to know of a model."""

from pathlib import Path
from typing import Any

from editing.registration import registration_of_model
from training.data.class_names import read_class_names
from training.figures.attention import shown_resolutions
from training.runs.snapshot import Snapshot
from training.sampling import SEED_LIMIT, Model


def facts(model: Model, snapshot: Snapshot) -> dict[str, Any]:
    """JSON: sizes, how many centres there are a level, where -1 and 1 are, what can be chosen from."""
    generator = snapshot.config.generator
    return {
        "name": snapshot.config.name,
        "network": _address(snapshot.path),
        "method": snapshot.config.method,
        "kimg": snapshot.kimg,
        "resolution": generator.img_resolution,
        "channels": generator.img_channels,
        "counts": [] if generator.encoding is None else list(generator.encoding.counts),
        "registration": registration_of_model(model),
        "objects": _objects(snapshot),
        "seeds": SEED_LIMIT,
        "classes": generator.c_dim,
        "class_names": list(read_class_names(snapshot.path, generator.c_dim) or []) if generator.c_dim else [],
        "spread": list(snapshot.config.sampler.spread),
        "w_shape": list(model.G.w_shape),
        "moves_centers": model.is_layout_conditioned and not model.G.takes_layout_in_latent,
        "truncates": generator.mapping.w_avg_beta is not None,
        "attention": shown_resolutions(snapshot.config.discriminator),
        "features": [2**k for k in range(2, generator.img_resolution.bit_length())],
    }


def _address(path: Path) -> str:
    """The run's folder, which commands can be given: of the file, where it is not in a run."""
    return str(path.parent if path.name.startswith("network-snapshot") else path)


def _objects(snapshot: Snapshot) -> int:
    """How many objects have codes of their own; 0 for models with one code."""
    shape = snapshot.config.generator.latent_shape
    return shape[0] - 1 if len(shape) == 2 else 0
