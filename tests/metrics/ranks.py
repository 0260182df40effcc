"""What test_in_training.py has two processes do: train with a metric that one of them fails at."""

from pathlib import Path

from metrics import registry
from metrics.features import generated_features
from metrics.in_training import TrainingMetrics
from torch_utils.distributed import current
from training import loop
from training.config import RunConfig
from training.pictures import grids


def train_with_a_broken_metric(config: RunConfig, run_dir: Path) -> None:
    @registry.family("broken{n}", num=6, extractor="random", output="pooled")
    def broken(context, num, extractor, output):
        """Fails on rank 1 alone, before, between or after what the ranks exchange."""
        if num == 5 and current().rank == 1:
            raise ZeroDivisionError("before")
        features = generated_features(context, extractor, num)[output]
        if num == 6 and current().rank == 1:
            raise MemoryError
        total = context.on_first_rank(lambda: features.sum().item())
        if num == 7 and current().rank == 1:
            raise ZeroDivisionError("after")
        return {"": total}

    grids.save_training_samples = lambda *about: []
    loop.train(config, run_dir, TrainingMetrics())
