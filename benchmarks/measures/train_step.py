"""What a method's training step costs against another's: seconds of each phase, and the ratio per image shown.

The second compares a method with itself on other operators. The two take turns within each phase. The phases are those
of the training loop, optimizer step included; the data are random images, drawn beforehand.
"""

from itertools import pairwise

import torch

from benchmarks.harness.apart import peak_mib
from benchmarks.harness.run import Findings, Run
from benchmarks.harness.series import Series
from benchmarks.subjects import INFERENCE, TrainingPhases, resolved
from dnnlib.errors import UserError
from training.config import RunConfig

TRAINING_IMAGE, GENERATED_IMAGE = "training, an image", "inference, an image"


def compare(run: Run, configs: dict[str, RunConfig]) -> Findings:
    """Seconds of every phase of two configurations, and of a training image; peak memory in MiB."""
    peaks, subjects = {}, {}
    for name, config in configs.items():
        with run.progress.one_more(f"peak memory of {name}"):
            peaks[name] = round(peak_mib(_one_step, config), 1)
        with run.progress.one_more(f"making {name}"):
            subjects[name] = TrainingPhases(config)
    samples = run.take_turns(subjects)
    return Findings(
        series={name: _series(subject, samples[name]) for name, subject in subjects.items()},
        pairs=list(pairwise(configs)),
        facts={
            "peak_mib": peaks,
            "methods": {name: {"method": each.method, "ops": each.hardware.ops} for name, each in configs.items()},
        },
        lines=[f"peak memory: {', '.join(f'{name} {peak:.0f} MiB' for name, peak in peaks.items())}"],
    )


def _series(subject: TrainingPhases, samples: dict[str, list[float]]) -> dict[str, Series]:
    """Of the phases a call, then of an image."""
    phases = {name: Series.of("s", samples[name]) for name in subject.phases}
    return phases | {
        TRAINING_IMAGE: Series.of("s", subject.per_image_by_round(samples)),
        GENERATED_IMAGE: Series.of("s", [spent / subject.batch for spent in samples[INFERENCE]]),
    }


def _one_step(config: RunConfig) -> torch.device:
    """With all its phases."""
    subject = TrainingPhases(config)
    for phase in subject.phases:
        subject.seconds(phase)
    return subject.device


def compared(method: str, vs: str | None, ops: str, vs_ops: str | None) -> dict[str, tuple[str, str]]:
    """{name: (method, operators)} of the two. Raises UserError when they are the same."""
    vs = vs or (method if vs_ops else "stylegan2")
    vs_ops = vs_ops or ops
    if (method, ops) == (vs, vs_ops):
        raise UserError(f"--method and --vs are both {method}; give two methods to compare, or --vs-ops")
    if ops == vs_ops:
        return {method: (method, ops), vs: (vs, vs_ops)}
    return {f"{method} ({ops})": (method, ops), f"{vs} ({vs_ops})": (vs, vs_ops)}


def answer(
    run: Run, res: int, batch: int, method: str, vs: str | None, ops: str, vs_ops: str | None, cfg: str
) -> Findings:
    """What the command of this name does, and finds."""
    pair = compared(method, vs, ops, vs_ops)
    configs = {name: resolved(each, cfg, res, batch, run.device.type, kind) for name, (each, kind) in pair.items()}
    run.begin()
    return compare(run, configs)
