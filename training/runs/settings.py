"""The settings of a run: how long, when networks grow, what is written when, and on what hardware."""

from typing import Annotated, Literal

from pydantic import Field

from training.settings import Batch, Count, Fraction, Kimg, Name, NonNegative, PowerOfTwo, Section


class ScheduleConfig(Section):
    """How long, how many at a time, and what is written when."""

    total_kimg: Kimg = 25000
    batch_size: Batch = 64
    batch_gpu: Batch | None = None  # images per pass; None: all of a rank's share
    cooldown: Fraction = 0.0  # the last share of the run, over which learning rates fall to 0 in a straight line
    kimg_per_tick: Kimg = 4
    snapshot_ticks: Count = 50
    metrics: tuple[str, ...] = ("di", "w")
    trackers: tuple[Name, ...] = ("tensorboard",)  # where curves and pictures go besides the run's files
    keep_checkpoints: Count = 2  # the newest; the best one by the first of `metrics` stays, too
    keep_snapshots: Count | None = None  # the newest, the first and the best one; None: all
    nonfinite_limit: Count = 20  # this many steps with NaN or Inf in a tick end the run

    def learning_share(self, images: int) -> float:
        """Of the learning rates, by which a step that begins with so many images shown learns; in [0, 1]."""
        left = 1 - images / (1000 * self.total_kimg)
        return max(0.0, min(1.0, left / self.cooldown)) if self.cooldown > 0 else 1.0


class HardwareConfig(Section):
    """Where and in which arithmetic a run computes; what that changes of its results: docs/training.md, Many GPUs.

    Defaults are those of runs from before a key was there; training/presets/resolve.py has those of new runs.
    """

    device: Literal["auto", "cuda", "cpu"] = "auto"
    gpus: Annotated[int, Field(ge=1, le=4096)] = 1  # processes: one a GPU, or on the CPU as many as --procs says
    channels_last: bool | None = None  # None: on the CPU
    allow_tf32: bool = False
    pass_size: Literal["given", "memory"] = "given"  # images a pass: schedule.batch_gpu, or what fits a GPU's memory
    benchmark: bool = True  # let cuDNN time its algorithms
    compile: Literal["no", "default", "reduce-overhead"] = "no"  # torch.compile where it can; the last: CUDA graphs
    ops: Literal["auto", "native", "direct", "pytorch", "reference"] = "auto"  # auto: STEERGAN_OPS, if set

    def keeps_channels_last(self, device_type: str) -> bool:
        """How feature maps lie in memory on a "cpu" or "cuda" device; the reference operators know NCHW only."""
        if self.ops == "reference":
            return False
        return device_type == "cpu" if self.channels_last is None else self.channels_last


class GrowthConfig(Section):
    """Progressive growing (training/growth.py): between resolutions, stable_kimg of one and fade_kimg of the next
    taking over."""

    start_resolution: PowerOfTwo | None = 4  # None: half of the images'
    fade_kimg: NonNegative = 600.0
    stable_kimg: Kimg = 600.0
