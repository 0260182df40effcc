"""Configurations that take milliseconds."""

from tests.tiny_models import tiny_config
from training.config import HardwareConfig, RunConfig, ScheduleConfig


def small_config(method: str = "spatialgan", ops: str = "auto", batch_gpu: int = 2) -> RunConfig:
    """Two images of 32x32 a step, on the CPU."""
    change = {
        "schedule": ScheduleConfig(batch_size=2, batch_gpu=batch_gpu),
        "hardware": HardwareConfig(device="cpu", ops=ops),
    }
    return tiny_config(method, resolution=32).model_copy(update=change)
