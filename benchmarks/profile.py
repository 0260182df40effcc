"""Where a training step's time goes: how fast each phase computes beside what the machine can do, and at what.

    python -m benchmarks.profile --res 256 --batch 4 --device cpu --method stylegan2

Floating-point operations are those of convolutions (upfirdn2d's small ones, too) and matrix products, forward and
backward, as training.summary counts them, whichever operators run and with whatever tricks; a multiply-add is two. The
machine's rate is that of the fastest 3x3 convolution, forward, of those that the networks are made of, in NCHW or
channels last. Kinds of work are from one more call of each phase under torch.profiler, which takes a little longer:
time of the calling thread, on a GPU of its kernels. What the profiler does not see, Python above all, is
"unattributed"; on a GPU, where it waits.
"""

import os
from pathlib import Path
from typing import Any

import click
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from benchmarks.kinds import KINDS, seconds_by_kind
from benchmarks.ops import product_rate, seconds
from benchmarks.train_step import (
    INFERENCE,
    Bench,
    heading,
    machine,
    medians,
    resolved,
    take_turns,
    unsteadiness,
    warning,
)
from dnnlib.cli import Command
from dnnlib.files import make_dir, write_json
from torch_utils import ops
from torch_utils.devices import choose_device, half_precision
from training.config import RunConfig
from training.cost import summarize

LAYOUTS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}
TRIES = 3  # of each convolution; the best counts
UNATTRIBUTED = "unattributed"
STEP = "a training step"


def measure(config: RunConfig, repeats: int, progress: bool = False) -> dict[str, Any]:
    """{"conv_gflops", "product_gflops", "convolutions", "phases", "step", "unsteadiness"}.

    phases: {name: {"seconds", "gflop", "gflops", "share", "kinds": {kind: seconds}}} a call, INFERENCE being one of
    them; step: the same an image, each phase as often as it runs. share: gflops in conv_gflops. Kinds sum to the time
    under the profiler.
    """
    bench = Bench(config)
    samples = take_turns({config.method: bench}, repeats, progress)[config.method]
    spent, work = medians(samples), gflop_per_call(config)
    kinds = {part: profiled(bench, part) for part in bench.parts}
    convolutions = convolution_rates(config, bench.device)
    best = max(rates[layout] for rates in convolutions for layout in LAYOUTS)
    weighted = {kind: bench.per_image({part: each[kind] for part, each in kinds.items()}) for kind in kinds[INFERENCE]}
    return {
        "conv_gflops": best,
        "product_gflops": product_rate(bench.device, torch.float32) / 1e9,
        "convolutions": convolutions,
        "phases": {part: _entry(spent[part], work[part], best, kinds[part]) for part in bench.parts},
        "step": _entry(bench.per_image(spent), bench.per_image(work), best, weighted),
        "unsteadiness": unsteadiness(samples),
    }


def _entry(spent: float, work: float, best: float, kinds: dict[str, float]) -> dict[str, Any]:
    rate = work / spent
    return {"seconds": spent, "gflop": work, "gflops": rate, "share": rate / best, "kinds": kinds}


def gflop_per_call(config: RunConfig) -> dict[str, float]:
    """10^9 operations of a call of each phase, and of INFERENCE."""
    with ops.use("auto"):  # the plain operators take more of them to the same end
        summary = summarize(config)
    batch = config.schedule.batch_size
    phases = {name: phase.flops * batch / summary.images_per_pass for name, phase in summary.phases.items()}
    return {name: flops / 1e9 for name, flops in (phases | {INFERENCE: summary.flops["G"] * batch}).items()}


def profiled(bench: Bench, part: str) -> dict[str, float]:
    """Seconds of one call by kind, with what is left of its wall time as UNATTRIBUTED."""
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (bench.device.type == "cuda")
    with profile(activities=activities, record_shapes=True) as watched:
        wall = bench.seconds(part)
    spent = seconds_by_kind(watched.events(), bench.device)
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
    spent = min(seconds(lambda: F.conv2d(x, w, padding=1), x.device) for _ in range(TRIES))
    return 2 * 9 * channels * x.numel() / spent / 1e9


# ---- showing


def table(report: dict[str, Any], batch: int) -> str:
    """The report for people."""
    parts = [_machine_lines(report), _rate_lines(report, batch), *_kind_tables(report), warning(report["unsteadiness"])]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _machine_lines(report: dict[str, Any]) -> list[str]:
    rows = [f"{'3x3 convolutions, GFLOP/s':30}{'NCHW':>14}{'channels last':>16}"]
    for rates in report["convolutions"]:
        label = f"  {rates['channels']}x{rates['resolution']}x{rates['resolution']} {rates['dtype']}"
        rows.append(f"{label:30}{rates['nchw']:14.1f}{rates['channels_last']:16.1f}")
    best, product = report["conv_gflops"], report["product_gflops"]
    return [*rows, f"the best, which counts: {best:.1f}; a matrix product: {product:.1f}"]


def _rate_lines(report: dict[str, Any], batch: int) -> list[str]:
    rows = [f"{'':16}{'s/call':>10}{'s/image':>10}{'GFLOP/image':>13}{'GFLOP/s':>10}{'share':>8}"]
    for name, entry in report["phases"].items():
        rows.append(f"{name:16}{entry['seconds']:10.4f}{_per_image(entry, batch)}")
    return [*rows, f"{STEP:16}{'-':>10}{_per_image(report['step'], 1)}"]


def _per_image(entry: dict[str, Any], images: int) -> str:
    return (
        f"{entry['seconds'] / images:10.4f}{entry['gflop'] / images:13.2f}{entry['gflops']:10.1f}{entry['share']:8.1%}"
    )


def _kind_tables(report: dict[str, Any]) -> list[list[str]]:
    units = dict.fromkeys(report["phases"], "s a call") | {STEP: "s an image"}
    entries = report["phases"] | {STEP: report["step"]}
    return [_kind_lines(name, entry, units[name]) for name, entry in entries.items()]


def _kind_lines(name: str, entry: dict[str, Any], unit: str) -> list[str]:
    """The kinds, what takes longest first."""
    kinds, total = entry["kinds"], sum(entry["kinds"].values())
    rows = [f"{f'{name}, {unit} (profiled)':34}{total:10.4f}"]
    for kind in sorted(kinds, key=kinds.get, reverse=True):
        if kinds[kind] != 0:
            rows.append(f"  {kind:32}{kinds[kind]:10.4f}{kinds[kind] / total:8.1%}")
    return rows


@click.command(cls=Command)
@click.option("--res", type=int, default=256, show_default=True, help="Side of the images in pixels.")
@click.option("--batch", type=click.IntRange(min=1), default=4, show_default=True, help="Images a step.")
@click.option("--device", default="auto", show_default=True, help="auto, cuda or cpu.")
@click.option("--method", default="stylegan2", show_default=True, help="What is trained.")
@click.option("--ops", "kind", default="auto", show_default=True,
              help="Its operators: auto, native, pytorch, reference.")
@click.option("--cfg", default="paper256", show_default=True, help="Its base configuration.")
@click.option("--json", "json_file", metavar="FILE", help="Write the figures here, too.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True,
              help="Rounds that count; their median is reported.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads.  [default: PyTorch's choice]")
def main(res, batch, device, method, kind, cfg, json_file, repeats, threads):
    """Show how fast each phase of a training step computes, beside the machine's best, and on what its time goes.

    Lazy regularisers count as often as they run; the moving average of the weights is left out.
    """
    if json_file is not None:
        make_dir(Path(json_file).parent)
    if threads is not None:
        torch.set_num_threads(threads)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler writes two lines each time
    where = choose_device(device)
    config = resolved(method, cfg, res, batch, where.type, kind)
    settings = {"res": res, "batch": batch, "device": where.type, "method": method, "ops": kind, "cfg": cfg}
    settings |= {"repeats": repeats}
    about = machine(where)
    click.echo(heading(settings, about))
    report = measure(config, repeats, progress=True)
    click.echo(table(report, batch))
    if json_file is not None:
        write_json(json_file, report | {"settings": settings, "machine": about})


if __name__ == "__main__":
    main()
