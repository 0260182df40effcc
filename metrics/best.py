"""The best checkpoint and snapshot of a run, by a metric of the quality of its pictures."""

import math
from collections.abc import Sequence
from pathlib import Path

from dnnlib.errors import UserError
from metrics.registry import find
from training.runs.checkpoint import checkpoint_path, known_best, note_best
from training.runs.snapshot import snapshot_name


def measure_of_best(metrics: Sequence[str]) -> str | None:
    """The metric that decides: the first of these that compares pictures with real ones; None where none does."""
    return next((name for name in metrics if measures_quality(name)), None)


def measures_quality(name: str) -> bool:
    """Whether a metric looks at pictures alone.

    How D's scores lie (di), or how an object follows its centre, says nothing of quality: an untrained D has di near 0.
    """
    try:
        return find(name).takes_pictures
    except UserError:  # of another version
        return False


def best_in_words(run_dir: Path) -> str | None:
    """Such as "fid5k 31.2 at 400 kimg: network-snapshot-000400.safetensors"; None where nothing is known to be best."""
    best = known_best(run_dir)
    if best is None or not measures_quality(best["metric"]):
        return None
    return f"{best['quantity']} {best['value']:.4g} at {best['kimg']:g} kimg: {best['snapshot']}"


def note_if_best(run_dir: Path, name: str, metrics: Sequence[str], results: dict[str, float], images: int) -> None:
    """Keep the checkpoint and the snapshot of this moment for good when `name` decides and was never better.

    Raises OSError when that cannot be written down.
    """
    if name != measure_of_best(metrics):
        return
    best, score = known_best(run_dir), find(name).score_to_minimize(results)
    if not math.isfinite(score) or (best is not None and best["metric"] == name and score >= best["badness"]):
        return
    quantity, value = next(iter(results.items()))
    kimg, path = images / 1000, checkpoint_path(run_dir, images)
    record = {"metric": name, "quantity": quantity, "value": value, "badness": score, "kimg": kimg}
    note_best(run_dir, record | {"checkpoint": path.name, "snapshot": snapshot_name(kimg)})
