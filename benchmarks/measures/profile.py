"""Where a training step's time goes: how fast each phase computes beside what the machine can do, and at what.

Floating-point operations are those of convolutions (upfirdn2d's small ones, too) and matrix products, forward and
backward, as training.summary counts them, whichever operators run and with whatever tricks; a multiply-add is two. The
machine's rate is that of the fastest 3x3 convolution, forward, of those that the networks are made of, in NCHW or
channels last. Kinds of work are from one more call of each phase under torch.profiler, which takes a little longer:
time of the calling thread, on a GPU of its kernels. What the profiler does not see, Python above all, is
"unattributed"; on a GPU, where it waits.
"""

import os
from typing import Any

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from benchmarks.harness.run import Findings, Run
from benchmarks.harness.series import Series
from benchmarks.harness.turns import seconds_of_short
from benchmarks.kinds import KINDS, seconds_by_kind
from benchmarks.measures.ops import product_rate
from benchmarks.subjects import INFERENCE, TrainingPhases, resolved
from torch_utils import ops
from torch_utils.devices import half_precision
from training.config import RunConfig
from training.cost.summary import summarize

LAYOUTS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}
TRIES = 3  # of each convolution; the best counts
UNATTRIBUTED = "unattributed"
STEP = "a training step"


def measure(run: Run, config: RunConfig) -> Findings:
    """Seconds of a call of each phase and of a training image.

    facts: {"conv_gflops", "product_gflops", "convolutions", "phases", "step"}. phases: {name: {"gflop", "gflops",
    "share", "kinds": {kind: seconds}}} a call, INFERENCE being one of them; step: the same an image, each phase as
    often as it runs. share: gflops in conv_gflops. Kinds sum to the time under the profiler.
    """
    with run.progress.one_more("making the networks"):
        subject = TrainingPhases(config)
    samples = run.take_turns({config.method: subject})[config.method]
    run.progress.expect(len(subject.parts))
    kinds = {}
    for part in subject.parts:
        with run.progress.doing(f"profiling {part}"):
            kinds[part] = profiled(subject, part)
    with run.progress.one_more("convolutions and products"):
        convolutions = convolution_rates(config, subject.device)
        product = product_rate(subject.device, torch.float32) / 1e9
    series = {part: Series.of("s", samples[part]) for part in subject.parts}
    series |= {STEP: Series.of("s", subject.per_image_by_round(samples))}
    facts = {"product_gflops": product, "convolutions": convolutions} | _facts(subject, series, kinds, convolutions)
    return Findings({config.method: series}, facts=facts, lines=lines(facts))


def _facts(
    subject: TrainingPhases,
    series: dict[str, Series],
    kinds: dict[str, dict[str, float]],
    convolutions: list[dict[str, Any]],
) -> dict[str, Any]:
    work = gflop_per_call(subject.config)
    best = max(rates[layout] for rates in convolutions for layout in LAYOUTS)
    weighted = {
        kind: subject.per_image({part: each[kind] for part, each in kinds.items()}) for kind in kinds[INFERENCE]
    }
    return {
        "conv_gflops": best,
        "phases": {part: _entry(series[part].median, work[part], best, kinds[part]) for part in subject.parts},
        "step": _entry(series[STEP].median, subject.per_image(work), best, weighted),
    }


def _entry(spent: float, work: float, best: float, kinds: dict[str, float]) -> dict[str, Any]:
    rate = work / spent
    return {"gflop": work, "gflops": rate, "share": rate / best, "kinds": kinds}


def gflop_per_call(config: RunConfig) -> dict[str, float]:
    """10^9 operations of a call of each phase, and of INFERENCE."""
    with ops.use("auto"):  # the plain operators take more of them to the same end
        summary = summarize(config)
    batch = config.schedule.batch_size
    phases = {name: phase.flops * batch / summary.images_per_pass for name, phase in summary.phases.items()}
    return {name: flops / 1e9 for name, flops in (phases | {INFERENCE: summary.flops["G"] * batch}).items()}


def profiled(subject: TrainingPhases, part: str) -> dict[str, float]:
    """Seconds of one call by kind, with what is left of its wall time as UNATTRIBUTED."""
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (subject.device.type == "cuda")
    with profile(activities=activities, record_shapes=True) as watched:
        wall = subject.seconds(part)
    spent = seconds_by_kind(watched.events(), subject.device)
    return {kind: spent[kind] for kind in KINDS} | {UNATTRIBUTED: wall - spent.total()}


# ---- what the machine can do


def convolution_rates(config: RunConfig, device: torch.device) -> list[dict[str, Any]]:
    """[{"channels", "resolution", "dtype", "nchw", "channels_last"}]: 10^9 operations per second of 3x3 convolutions.

    Forward, of as many images as a step has, with as many channels out as in, as at each resolution of G and D.
    """
    found = []
    for channels, r, dtype in _shapes(config, device):
        x = torch.ones([config.schedule.batch_size, channels, r, r], dtype=dtype, device=device)
        rates = {name: _convolution_rate(x, layout) for name, layout in LAYOUTS.items()}
        found.append({"channels": channels, "resolution": r, "dtype": str(dtype).removeprefix("torch.")} | rates)
    return found


def _shapes(config: RunConfig, device: torch.device) -> list[tuple[int, int, torch.dtype]]:
    """Channels, resolution and type of the feature maps, each once, from the image down."""
    single = torch.empty(0, device=device)
    resolutions = [2**k for k in range(config.generator.img_resolution.bit_length() - 1, 1, -1)]
    found = [
        (net.channels(r), r, half_precision(net.half_type, single) if i < net.num_fp16_res else single.dtype)
        for i, r in enumerate(resolutions)
        for net in (config.generator.synthesis, config.discriminator)
    ]
    return list(dict.fromkeys(found))


def _convolution_rate(x: torch.Tensor, layout: torch.memory_format) -> float:
    channels = x.shape[1]
    w = x.new_ones([channels, channels, 3, 3])
    x, w = (tensor.contiguous(memory_format=layout) for tensor in (x, w))
    spent = min(seconds_of_short(lambda: F.conv2d(x, w, padding=1), x.device) for _ in range(TRIES))
    return 2 * 9 * channels * x.numel() / spent / 1e9


# ---- showing


def lines(facts: dict[str, Any]) -> list[str]:
    """Rates and kinds for people."""
    parts = [_machine_lines(facts), _rate_lines(facts), *_kind_tables(facts)]
    return "\n\n".join("\n".join(each) for each in parts).split("\n")


def _machine_lines(facts: dict[str, Any]) -> list[str]:
    rows = [f"{'3x3 convolutions, GFLOP/s':30}{'NCHW':>14}{'channels last':>16}"]
    for rates in facts["convolutions"]:
        label = f"  {rates['channels']}x{rates['resolution']}x{rates['resolution']} {rates['dtype']}"
        rows.append(f"{label:30}{rates['nchw']:14.1f}{rates['channels_last']:16.1f}")
    best, product = facts["conv_gflops"], facts["product_gflops"]
    return [*rows, f"the best, which counts: {best:.1f}; a matrix product: {product:.1f}"]


def _rate_lines(facts: dict[str, Any]) -> list[str]:
    entries = facts["phases"] | {f"{STEP}, an image": facts["step"]}
    rows = [f"{'':26}{'GFLOP':>10}{'GFLOP/s':>10}{'share':>8}"]
    return rows + [f"{name:26}{e['gflop']:10.2f}{e['gflops']:10.1f}{e['share']:8.1%}" for name, e in entries.items()]


def _kind_tables(facts: dict[str, Any]) -> list[list[str]]:
    units = dict.fromkeys(facts["phases"], "s a call") | {STEP: "s an image"}
    entries = facts["phases"] | {STEP: facts["step"]}
    return [_kind_lines(name, entry, units[name]) for name, entry in entries.items()]


def _kind_lines(name: str, entry: dict[str, Any], unit: str) -> list[str]:
    """The kinds, what takes longest first."""
    kinds, total = entry["kinds"], sum(entry["kinds"].values())
    rows = [f"{f'{name}, {unit} (profiled)':34}{total:10.4f}"]
    for kind in sorted(kinds, key=kinds.get, reverse=True):
        if kinds[kind] != 0:
            rows.append(f"  {kind:32}{kinds[kind]:10.4f}{kinds[kind] / total:8.1%}")
    return rows


def answer(run: Run, res: int, batch: int, method: str, ops: str, cfg: str) -> Findings:
    """What the command of this name does, and finds."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler writes two lines each time
    config = resolved(method, cfg, res, batch, run.device.type, ops)
    run.begin()
    return measure(run, config)
