"""The best checkpoint and snapshot of a run, by a metric of the quality of its pictures."""

import math
from collections.abc import Sequence
from pathlib import Path

from metrics.registry import find
from training.runs.checkpoint import checkpoint_path, known_best, note_best
from training.runs.snapshot import snapshot_name


def measure_of_best(metrics: Sequence[str]) -> str | None:
    """The metric that decides: the first of these that compares pictures with real ones; None where none does.

    How D's scores lie (di), or how an object follows its centre, says nothing of quality: an untrained D has di near 0.
    """
    return next((name for name in metrics if find(name).takes_pictures), None)


def note_if_best(run_dir: Path, name: str, metrics: Sequence[str], results: dict[str, float], images: int) -> None:
    """Keep the checkpoint and the snapshot of this moment for good when `name` decides and was never better.

    Raises OSError when that cannot be written down.
    """
    if name != measure_of_best(metrics):
        return
    best, badness = known_best(run_dir), find(name).badness(results)
    known = best is not None and best["metric"] == name
    if not math.isfinite(badness) or (known and badness >= best["badness"]):
        return
    quantity, value = next(iter(results.items()))
    kimg, path = images / 1000, checkpoint_path(run_dir, images)
    record = {"metric": name, "quantity": quantity, "value": value, "badness": badness, "kimg": kimg}
    note_best(run_dir, record | {"checkpoint": path.name, "snapshot": snapshot_name(kimg)})
