"""What each operator costs, in each of its versions, beside what the machine can do.

    python -m benchmarks.ops --device cpu --json ops.json

Shapes are those of paper256 (batch 4). The versions take turns, so that a machine that slows down does so for all.
Bytes are those that have to be moved at least: inputs and results once, and for the gradients the same again; they
are set against a copy of a large tensor. Operations are those of the convolution, against a large matrix product.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.train_step import machine
from dnnlib.cli import Command
from dnnlib.errors import UserError
from dnnlib.files import make_dir, write_json
from torch_utils import ops
from torch_utils.allocator import keep_memory
from torch_utils.devices import choose_device
from torch_utils.native.loader import is_loaded

VERSIONS = ("native", "pytorch", "reference")
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
SIZES = ((64, 256), (128, 128), (256, 64), (512, 32))  # channels, resolution
FIR = (1, 3, 3, 1)


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
    b, styles, noise = setting.draw(channels), setting.draw(n, channels), setting.draw(r, r)
    w = setting.draw(channels, channels, 3, 3)
    products = 2 * 9 * n * channels**2 * r**2

    def activated() -> Tensor:
        return ops.bias_act(x, b, act="lrelu")

    def finished() -> Tensor:
        return ops.bias_act(x, b, act="lrelu", gain=1, scale=styles, noise=noise)

    def resampled(**options: int) -> Callable[[], Tensor]:
        source = half if options.get("up") else x
        return lambda: ops.conv2d_resample(source, w.to(x.dtype), f, padding=1, **options)

    def modulated() -> Tensor:
        return ops.modulated_conv2d(x, w, styles, noise, padding=1, bias=b, act="lrelu")

    return [
        Case("bias_act", activated, [x, b]),
        Case("bias_act scale noise", finished, [x, styles, noise, b]),
        Case("upfirdn2d filter", lambda: ops.upfirdn2d(odd, f, padding=1), [odd]),
        Case("upfirdn2d up", lambda: ops.upsample2d(half, f), [half]),
        Case("upfirdn2d down", lambda: ops.downsample2d(x, f), [x]),
        Case("conv2d_resample up", resampled(up=2), [half, w], products // 4),
        Case("conv2d_resample down", resampled(down=2), [x, w], products // 4),
        Case("modulated_conv2d", modulated, [x, w, styles, noise, b], products),
    ]


# ---- measuring


def seconds(run: Callable[[], object], device: torch.device, least: float = 0.02) -> float:
    """Wall time of one call, from as many as fill `least` seconds."""
    count, spent = 1, 0.0
    while True:
        _wait(device)
        start = time.perf_counter()
        for _ in range(count):
            run()
        _wait(device)
        spent = time.perf_counter() - start
        if spent >= least:
            return spent / count
        count *= 4


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def copy_rate(device: torch.device) -> float:
    """Bytes per second, read and written, of copying 256 MiB."""
    source = torch.ones(2**26, device=device)
    target = torch.empty_like(source).copy_(source)
    best = min(seconds(lambda: target.copy_(source), device) for _ in range(5))
    return 2 * source.numel() * source.element_size() / best


def product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a matrix product."""
    size = 1536 if device.type == "cpu" else 8192
    a = torch.randn([size, size], device=device).to(dtype)
    return 2 * size**3 / min(seconds(lambda: a @ a, device) for _ in range(5))


def measure(case: Case, versions: tuple[str, ...], device: torch.device, repeats: int) -> dict[str, dict[str, float]]:
    """{version: {"forward", "both"}} in seconds, the best of `repeats` turns."""
    with torch.no_grad():
        g = torch.ones_like(case.run())

    def both() -> object:
        return torch.autograd.grad(case.run(), case.inputs, g)

    found = {version: {"forward": float("inf"), "both": float("inf")} for version in versions}
    for _ in range(repeats):
        for version, best in found.items():
            with ops.use(version):
                for what, run, mode in (("forward", case.run, torch.no_grad()), ("both", both, nullcontext())):
                    with mode:
                        best[what] = min(best[what], seconds(run, device))
    return found


def least_bytes(case: Case) -> int:
    """Of the forward pass: inputs and result, once each. The gradients' pass moves as many again, and its own."""
    with torch.no_grad():
        return sum(t.numel() * t.element_size() for t in (*case.inputs, case.run()))


def report(setting: Setting, versions: tuple[str, ...], repeats: int, progress: bool = False) -> dict[str, Any]:
    """{"copy_bytes_per_second", "product_flops", "ops": [{"name", "size", "bytes", "flops", version: seconds}]}."""
    rows = []
    for channels, r in tqdm(SIZES, disable=not progress):
        for case in cases(setting, channels, r):
            about = {"name": case.name, "size": f"{channels}x{r}x{r}", "bytes": least_bytes(case)}
            timed = measure(case, versions, setting.device, repeats)
            rows.append(about | {"flops": case.operations} | timed)
    return {
        "copy_bytes_per_second": copy_rate(setting.device),
        "product_flops": product_rate(setting.device, setting.dtype),
        "ops": rows,
    }


# ---- showing


def table(found: dict[str, Any], versions: tuple[str, ...]) -> str:
    """Milliseconds forward and with backward, and what share of the machine's rates the first version reaches."""
    head = "".join(f"{version:>20}" for version in versions)
    lines = [f"{'ms: forward, with backward':38}{head}   share of the machine's rate"]
    for row in found["ops"]:
        cells = "".join(f"{row[v]['forward'] * 1e3:11.2f}{row[v]['both'] * 1e3:9.2f}" for v in versions)
        lines.append(f"{row['name']:23}{row['size']:15}{cells}   {_share(row, found, versions[0])}")
    lines.append(
        f"copy: {found['copy_bytes_per_second'] / 1e9:.1f} GB/s; "
        f"matrix product: {found['product_flops'] / 1e9:.0f} GFLOP/s"
    )
    return "\n".join(lines)


def _share(row: dict[str, Any], found: dict[str, Any], version: str) -> str:
    spent = row[version]["forward"]
    if row["flops"]:
        return f"{row['flops'] / spent / found['product_flops']:.0%} of the product's operations"
    return f"{row['bytes'] / spent / found['copy_bytes_per_second']:.0%} of the copy's bytes"


@click.command(cls=Command)
@click.option("--device", default="auto", show_default=True, help="auto, cuda or cpu.")
@click.option("--dtype", type=click.Choice(list(DTYPES)), default="float32", show_default=True, help="Of the images.")
@click.option("--batch", type=click.IntRange(min=1), default=4, show_default=True, help="Images at a time.")
@click.option("--nhwc", type=bool, metavar="BOOL", help="Channels last.  [default: on the CPU]")
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Turns; the best counts.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads.  [default: PyTorch's choice]")
@click.option("--json", "json_file", metavar="FILE", help="Write the figures here, too.")
def main(device, dtype, batch, nhwc, repeats, threads, json_file):
    """Time each operator, forward and with its gradients: native, PyTorch's version, and the plain reference."""
    if json_file is not None:
        make_dir(Path(json_file).parent)
    if threads is not None:
        torch.set_num_threads(threads)
    where = choose_device(device)
    if not is_loaded(where.type):
        raise UserError(f"no native operators for {where.type}; see: python -m torch_utils.ops doctor")
    if where.type == "cpu":
        keep_memory()
    last = where.type == "cpu" if nhwc is None else nhwc
    setting = Setting(where, DTYPES[dtype], batch, torch.channels_last if last else torch.contiguous_format)
    about = machine(where)
    settings = {"device": where.type, "dtype": dtype, "batch": batch, "nhwc": last, "repeats": repeats}
    click.echo("  ".join(f"{key} {value}" for key, value in (settings | about).items() if value is not None))
    found = report(setting, VERSIONS, repeats, progress=True)
    click.echo(table(found, VERSIONS))
    if json_file is not None:
        write_json(json_file, found | {"settings": settings, "machine": about})


if __name__ == "__main__":
    main()
