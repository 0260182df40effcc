"""What each operator costs, in each of its versions, beside what the machine can do.

Shapes are those of paper256 (batch 4). The versions take turns. Bytes are those that have to be moved at least: inputs
and results once, and for the gradients the same again; they are set against a copy of a large tensor. Operations are
those of the convolution, against a large matrix product.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.harness.run import Findings, Run
from benchmarks.harness.series import Series
from benchmarks.harness.turns import seconds_of_short
from dnnlib.errors import UserError
from torch_utils import ops
from torch_utils.allocator import keep_memory
from torch_utils.native.loader import is_loaded

VERSIONS = ("native", "pytorch", "reference")
SIZES = ((64, 256), (128, 128), (256, 64), (512, 32))  # channels, resolution
FIR = (1, 3, 3, 1)
FORWARD, BOTH = "forward", "with backward"


@dataclass(frozen=True)
class Setting:
    """Where and on what all operators run."""

    device: torch.device
    dtype: torch.dtype
    batch: int
    memory_format: torch.memory_format

    def draw(self, *shape: int, images: bool = False) -> Tensor:
        """Random numbers that want gradients."""
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self.device)
        if images:
            x = x.to(self.dtype).contiguous(memory_format=self.memory_format)
        return x.requires_grad_()


@dataclass(frozen=True)
class Case:
    """One call of an operator: `run()` with the tensors `inputs`; floating-point operations, where they matter."""

    name: str
    run: Callable[[], Tensor]
    inputs: list[Tensor]
    operations: int = 0


def cases(setting: Setting, channels: int, r: int) -> list[Case]:
    """All operators at one size, as the networks call them."""
    n, f = setting.batch, ops.setup_filter(list(FIR), device=setting.device)
    x, half = setting.draw(n, channels, r, r, images=True), setting.draw(n, channels, r // 2, r // 2, images=True)
    odd = setting.draw(n, channels, r + 1, r + 1, images=True)  # what a transposed convolution leaves to be filtered
    b, styles, strength = setting.draw(channels), setting.draw(n, channels), setting.draw(1)[0].detach()
    strength.requires_grad_()  # which learns; the noise does not
    noise = setting.draw(r, r).detach()
    w = setting.draw(channels, channels, 3, 3)
    products = 2 * 9 * n * channels**2 * r**2

    def activated() -> Tensor:
        return ops.bias_act(x, b, act="lrelu")

    def finished() -> Tensor:
        return ops.bias_act(x, b, act="lrelu", gain=1, scale=styles, noise=noise, noise_strength=strength)

    def resampled(up: int = 1, down: int = 1) -> Callable[[], Tensor]:
        source = x if up == 1 else half
        return lambda: ops.conv2d_resample(source, w.to(x.dtype), f, up, down, padding=1)

    def modulated() -> Tensor:
        return ops.modulated_conv2d(x, w, styles, noise, noise_strength=strength, padding=1, bias=b, act="lrelu")

    return [
        Case("bias_act", activated, [x, b]),
        Case("bias_act scale noise", finished, [x, styles, strength, b]),
        Case("upfirdn2d filter", lambda: ops.upfirdn2d(odd, f, padding=1), [odd]),
        Case("upfirdn2d up", lambda: ops.upsample2d(half, f), [half]),
        Case("upfirdn2d down", lambda: ops.downsample2d(x, f), [x]),
        Case("conv2d_resample up", resampled(up=2), [half, w], products // 4),
        Case("conv2d_resample down", resampled(down=2), [x, w], products // 4),
        Case("modulated_conv2d", modulated, [x, w, styles, strength, b], products),
    ]


# ---- measuring


class TimedVersion:
    """One version of all operators at one size; the parts are the cases, forward and with their gradients."""

    def __init__(self, version: str, size: list[Case], device: torch.device):
        self.version, self.device = version, device
        self.parts = {part_name(case, what): (case, what) for case in size for what in (FORWARD, BOTH)}

    def seconds(self, part: str) -> float:
        """Wall time of one call."""
        case, what = self.parts[part]
        with torch.no_grad():
            g = torch.ones_like(case.run())
        run = case.run if what == FORWARD else lambda: torch.autograd.grad(case.run(), case.inputs, g)
        with ops.use(self.version), torch.no_grad() if what == FORWARD else nullcontext():
            return seconds_of_short(run, self.device)


def part_name(case: Case, what: str) -> str:
    return f"{case.name} {what}"


def least_bytes(case: Case) -> int:
    """Of the forward pass: inputs and result, once each. The gradients' pass moves as many again, and its own."""
    with torch.no_grad():
        return sum(t.numel() * t.element_size() for t in (*case.inputs, case.run()))


def copy_rate(device: torch.device) -> float:
    """Bytes per second, read and written, of copying 256 MiB."""
    source = torch.ones(2**26, device=device)
    target = torch.empty_like(source).copy_(source)
    best = min(seconds_of_short(lambda: target.copy_(source), device) for _ in range(5))
    return 2 * source.numel() * source.element_size() / best


def product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a matrix product."""
    size = 1536 if device.type == "cpu" else 8192
    a = torch.randn([size, size], device=device).to(dtype)
    return 2 * size**3 / min(seconds_of_short(lambda: a @ a, device) for _ in range(5))


def measure(run: Run, setting: Setting) -> Findings:
    """Milliseconds of each case at each size, by version; facts: what each has to move and to compute."""
    series: dict[str, dict[str, Series]] = {version: {} for version in VERSIONS}
    work: dict[str, dict[str, int]] = {}
    for channels, r in SIZES:
        size, label = cases(setting, channels, r), f"{channels}x{r}x{r}"
        subjects = {version: TimedVersion(version, size, run.device) for version in VERSIONS}
        for version, samples in run.take_turns(subjects, warmup=1, what=label).items():
            for part, spent in samples.items():
                series[version][f"{label} {part}"] = Series.of("ms", [each * 1e3 for each in spent])
        work |= {f"{label} {case.name}": {"bytes": least_bytes(case), "flops": case.operations} for case in size}
    with run.progress.one_more("copies and products"):
        rates = {
            "copy_bytes_per_second": copy_rate(run.device),
            "product_flops": product_rate(run.device, setting.dtype),
        }
    pairs = [(version, VERSIONS[0]) for version in VERSIONS[1:]]
    return Findings(series, pairs, rates | {"work": work}, shares(series[VERSIONS[0]], rates, work))


def shares(series: dict[str, Series], rates: dict[str, float], work: dict[str, dict[str, int]]) -> list[str]:
    """What share of the machine's rates the forward passes reach, a line each."""
    lines = [
        f"copy: {rates['copy_bytes_per_second'] / 1e9:.1f} GB/s; "
        f"matrix product: {rates['product_flops'] / 1e9:.0f} GFLOP/s; of these, {VERSIONS[0]} reaches, forward:"
    ]
    for name, each in work.items():
        spent = series[f"{name} {FORWARD}"].median / 1e3
        share, what = each["bytes"] / spent / rates["copy_bytes_per_second"], "of the copy's bytes"
        if each["flops"]:
            share, what = each["flops"] / spent / rates["product_flops"], "of the product's operations"
        lines.append(f"  {name:36}{share:5.0%} {what}")
    return lines


def answer(run: Run, dtype: str, batch: int, nhwc: bool | None) -> Findings:
    """What the command of this name does, and finds."""
    where = run.device
    if not is_loaded("cuda" if where.type == "cuda" else "cpu"):
        raise UserError(f"no native operators for {where.type}; see: python -m torch_utils.ops doctor")
    if where.type == "cpu":
        keep_memory()
    last = where.type == "cpu" if nhwc is None else nhwc
    run.settings["nhwc"] = last
    setting = Setting(where, getattr(torch, dtype), batch, torch.channels_last if last else torch.contiguous_format)
    run.begin()
    return measure(run, setting)
