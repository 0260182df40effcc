"""What the figures depend on: the processor, its kind, threads, versions, and how fast it convolves at the moment."""

import os
import platform
import statistics
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict

from benchmarks.harness.turns import seconds_of

# Variables that hold a processor down, choose what runs, or change how threads wait.
SWITCHES = (
    "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_NUM_THREADS",
    "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "STEERGAN_MARCH", "STEERGAN_OPS",
    "STEERGAN_WINOGRAD",
)  # fmt: skip
CHANNELS, SIDE = 64, 128
IMAGES = {"cpu": 4, "cuda": 64}
# Seconds: a process that has just started convolves at two thirds of its rate, and any at half of it for a moment.
WARM_UP, MEASURED = 1.0, 2.0


class Machine(BaseModel):
    """Where a report was made.

    kind: the vectors that PyTorch uses, such as AVX2 or AVX512; switches: the environment's SWITCHES that are set;
    cores: those this process may use.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu: str
    kind: str
    switches: dict[str, str]
    cores: int
    threads: int
    torch: str
    gpu: str | None


def machine(device: torch.device) -> Machine:
    """This one."""
    return Machine(
        cpu=_cpu_model(),
        kind=torch.backends.cpu.get_cpu_capability(),
        switches={name: os.environ[name] for name in SWITCHES if os.environ.get(name)},
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    )


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines: Iterable[str] = info.read_text().splitlines() if info.exists() else ()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def convolution(device: torch.device) -> str:
    """What convolution_rate measures, in words."""
    return f"3x3, {CHANNELS} channels to as many, {IMAGES[device.type]} images of {SIDE}x{SIDE}, float32, channels last"


@torch.inference_mode()
def convolution_rate(device: torch.device) -> float:
    """10^9 operations per second of PyTorch's own convolution (a multiply-add is two): the median of two seconds."""
    count = IMAGES[device.type]
    x = torch.ones([count, CHANNELS, SIDE, SIDE], device=device).contiguous(memory_format=torch.channels_last)
    w = torch.ones([CHANNELS, CHANNELS, 3, 3], device=device).contiguous(memory_format=torch.channels_last)

    def calls(seconds: float) -> list[float]:
        times: list[float] = []
        while sum(times) < seconds:
            times.append(seconds_of(lambda: F.conv2d(x, w, padding=1), device))
        return times

    calls(WARM_UP)
    return 2 * 9 * CHANNELS * x.numel() / statistics.median(calls(MEASURED)) / 1e9
