"""What a method's training step costs against another's: seconds of each phase, and the ratio per image shown.

    python -m benchmarks.train_step --res 256 --batch 4 --device cpu --method spatialgan --vs stylegan2
    python -m benchmarks.train_step --res 256 --batch 4 --device cpu --method stylegan2 --vs-ops reference

The second compares a method with itself on other operators. The two take turns within each phase, so that a machine
that slows down or speeds up does so for both. The phases are those of the training loop, optimiser step included; the
data are random images, drawn beforehand.
"""

import multiprocessing
import platform
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click
import torch
from tqdm import tqdm

from dnnlib.cli import Command
from dnnlib.errors import UserError
from dnnlib.files import make_dir, write_json
from torch_utils.devices import choose_device
from torch_utils.distributed import World
from training.config import RunConfig
from training.hardware import prepare_hardware
from training.layouts.samplers import sample_layout
from training.losses.phases import make_phases
from training.presets.resolve import DataFacts, Options, resolve
from training.state import TrainingState
from training.step import passes, run_phase

WARMUP = {"cpu": 2, "cuda": 3}  # rounds that are not counted
INFERENCE = "inference"
STEADY = 1.25  # rounds that differ by more than this factor measure the machine's other work, too

Seconds = dict[str, float]  # of each phase, and of INFERENCE
Samples = dict[str, list[float]]  # the same, of every round


class Timed:
    """Something to be timed on the device and with the operators of `config`; `parts`: what there is, by name."""

    parts: dict[str, Callable[[], object]]

    def __init__(self, config: RunConfig):
        self.config = config
        self.world = prepare_hardware(config, World())
        self.device = self.world.device

    def seconds(self, part: str) -> float:
        """Wall time of one call of a part, with these operators and switches."""
        prepare_hardware(self.config, World())
        self._wait()
        start = time.perf_counter()
        self.parts[part]()
        self._wait()
        return time.perf_counter() - start

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class Bench(Timed):
    """A method's networks and data; the parts are the phases of a training step, and INFERENCE."""

    def __init__(self, config: RunConfig):
        super().__init__(config)
        self.state = TrainingState.create(config, self.world)
        self.batch = config.schedule.batch_size
        draw = torch.Generator(self.device).manual_seed(1)
        size = [self.batch, config.generator.img_channels, *[config.generator.img_resolution] * 2]
        self.real_images = torch.rand(size, generator=draw, device=self.device) * 2 - 1
        self.labels = torch.zeros([self.batch, config.generator.c_dim], device=self.device)
        self.z = torch.randn([self.batch, *config.generator.latent_shape], generator=draw, device=self.device)
        encoding = config.generator.encoding
        self.layout = None if encoding is None else sample_layout(self.batch, config.sampler, draw, encoding.counts)
        self.phases = {phase.name: phase for phase in make_phases(config)}
        self.parts = {name: lambda name=name: self._train(name) for name in self.phases} | {INFERENCE: self._infer}

    def per_image(self, spent: Seconds) -> float:
        """What a call of each phase takes, seconds or else, per image shown: each phase as often as it runs."""
        return sum(spent[name] / phase.interval for name, phase in self.phases.items()) / self.batch

    def _train(self, name: str) -> None:
        phase, data = self.phases[name], (self.real_images, self.labels, lambda count: self.labels[:count])
        run_phase(phase, self.config, self.state, passes(phase, self.config, self.state, *data))

    @torch.inference_mode()
    def _infer(self) -> None:
        self.state.G_ema(self.z, self.labels, self.layout)


def compare(configs: dict[str, RunConfig], repeats: int, show_progress: bool = False) -> dict[str, Any]:
    """{"ratio": r, "methods": {name: {"phases", "per_image", "inference_per_image", "peak_mb"}}, "unsteadiness": u}.

    The ratio is that of the first to the second in training seconds per image shown; times are medians over
    `repeats`; peak_mb is in MiB; u: the slowest round of a phase took u times as long as its fastest, at worst.
    """
    peaks = {name: peak_mb(config) for name, config in configs.items()}
    benches = {name: Bench(config) for name, config in configs.items()}
    samples = take_turns(benches, repeats, show_progress)
    seconds = {name: medians(each) for name, each in samples.items()}
    methods = {
        name: {
            "phases": {part: value for part, value in seconds[name].items() if part != INFERENCE},
            "per_image": bench.per_image(seconds[name]),
            "inference_per_image": seconds[name][INFERENCE] / bench.batch,
            "peak_mb": round(peaks[name], 1),
        }
        for name, bench in benches.items()
    }
    first, second = (method["per_image"] for method in methods.values())
    return {"ratio": first / second, "methods": methods, "unsteadiness": max(map(unsteadiness, samples.values()))}


def take_turns(benches: Mapping[str, Timed], repeats: int, show_progress: bool = False) -> dict[str, Samples]:
    """Seconds of every part of every bench, timed one after the other, part by part, `repeats` times."""
    device = next(iter(benches.values())).device
    warmup = WARMUP[device.type]
    taken: dict[str, Samples] = {name: defaultdict(list) for name in benches}
    for turn in tqdm(range(warmup + repeats), desc="rounds", disable=not show_progress):
        for part in dict.fromkeys(part for bench in benches.values() for part in bench.parts):
            for name, bench in benches.items():
                if part in bench.parts:
                    spent = bench.seconds(part)
                    taken[name][part] += [spent] if turn >= warmup else []
    return taken


def medians(samples: Samples) -> Seconds:
    """Of each part, over the rounds."""
    return {part: statistics.median(values) for part, values in samples.items()}


def unsteadiness(samples: Samples) -> float:
    """The largest factor between the slowest and the fastest round of one part, inference aside."""
    return max(max(values) / min(values) for part, values in samples.items() if part != INFERENCE)


def warning(factor: float) -> list[str]:
    """A line where the rounds differ by so much that their times say little, else none."""
    if factor <= STEADY:
        return []
    return [
        f"not to be trusted: a part took {factor:.1f} times as long in one round as in another; "
        "the machine has other work, run again when it has none"
    ]


# --- memory -----------------------------------------------------------------------------------------------------


def peak_mb(config: RunConfig) -> float:
    """Peak memory in MiB of a step with all its phases, see peak_of."""
    return peak_of(_one_step, config)


def _one_step(config: RunConfig) -> torch.device:
    bench = Bench(config)
    for phase in bench.phases:
        bench.seconds(phase)
    return bench.device


def peak_of(work: Callable[..., torch.device], *arguments: Any) -> float:
    """Peak memory in MiB of `work(*arguments)`: of the whole process on a CPU, of its tensors on a GPU.

    Measured in a new process, so that neither this one nor other work adds to it; `work` returns its device.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_peak, torch.get_num_threads(), work, *arguments).result()


def _peak(threads: int, work: Callable[..., torch.device], *arguments: Any) -> float:
    torch.set_num_threads(threads)
    device = work(*arguments)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return _peak_resident_kib() / 1024


def _peak_resident_kib() -> float:
    """From /proc where there is one: getrusage also counts what the parent process held before this one started."""
    status = Path("/proc/self/status")
    if status.exists():
        return float(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform == "darwin" else peak


# --- what is compared, and where --------------------------------------------------------------------------------


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures depend on: {"cpu", "threads", "torch", "gpu"}."""
    return {
        "cpu": _cpu_model(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }


def heading(*facts: dict[str, Any]) -> str:
    """What was asked for, and where, in a line."""
    return "  ".join(f"{key} {value}" for part in facts for key, value in part.items() if value is not None)


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines: Iterable[str] = info.read_text().splitlines() if info.exists() else ()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def resolved(method: str, cfg: str, resolution: int, batch: int, device: str, ops: str | None = None) -> RunConfig:
    """The run that train.py would make of these options. Raises UserError when they do not go together."""
    facts = DataFacts(name="random", resolution=resolution, num_channels=3, size=batch)
    return resolve(Options(data="random", cfg=cfg, method=method, batch=batch, device=device, ops=ops), facts)


def compared(method: str, vs: str | None, ops: str, vs_ops: str | None) -> dict[str, tuple[str, str]]:
    """{name: (method, operators)} of the two. Raises UserError when they are the same."""
    vs = vs or (method if vs_ops else "stylegan2")
    vs_ops = vs_ops or ops
    if (method, ops) == (vs, vs_ops):
        raise UserError(f"--method and --vs are both {method}; give two methods to compare, or --vs-ops")
    if ops == vs_ops:
        return {method: (method, ops), vs: (vs, vs_ops)}
    return {f"{method} ({ops})": (method, ops), f"{vs} ({vs_ops})": (vs, vs_ops)}


def table(report: dict[str, Any], batch: int) -> str:
    """The report for people: seconds per call and per image, the two methods side by side."""
    names, methods = list(report["methods"]), list(report["methods"].values())
    rows = [_row("", [f"{name:>26}" for name in names]), _row("", [f"{'s/call':>14}{'s/image':>12}"] * len(names))]
    for phase in dict.fromkeys(phase for method in methods for phase in method["phases"]):
        rows.append(_row(phase, [_cells(method["phases"].get(phase), batch) for method in methods]))
    for key, label in (("per_image", "training"), ("inference_per_image", INFERENCE)):
        rows.append(_row(label, [f"{method[key]:26.4f}" for method in methods]))
    rows.append(_row("peak MiB", [f"{method['peak_mb']:26.0f}" for method in methods]))
    rows.append(f"ratio per image shown, {names[0]} to {names[1]}: {report['ratio']:.3f}")
    return "\n".join([*rows, *warning(report["unsteadiness"])])


def _row(label: str, cells: list[str]) -> str:
    return f"{label:10}" + "".join(cells)


def _cells(seconds: float | None, batch: int) -> str:
    return f"{'-':>14}{'-':>12}" if seconds is None else f"{seconds:14.4f}{seconds / batch:12.4f}"


@click.command(cls=Command)
@click.option("--res", type=int, default=256, show_default=True, help="Side of the images in pixels.")
@click.option("--batch", type=click.IntRange(min=1), default=4, show_default=True, help="Images a step.")
@click.option("--device", default="auto", show_default=True, help="auto, cuda or cpu.")
@click.option("--method", default="spatialgan", show_default=True, help="The method in question.")
@click.option("--vs", metavar="NAME",
              help="The method it is compared with.  [default: stylegan2, or with --vs-ops the same]")
@click.option("--ops", default="auto", show_default=True,
              help="The method's operators: auto, native, pytorch, reference.")
@click.option("--vs-ops", metavar="NAME", help="Those of what it is compared with.  [default: the same]")
@click.option("--cfg", default="paper256", show_default=True, help="Base configuration of both.")
@click.option("--json", "json_file", metavar="FILE", help="Write the figures here, too.")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True,
              help="Rounds that count; their median is reported.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads.  [default: PyTorch's choice]")
def main(res, batch, device, method, vs, ops, vs_ops, cfg, json_file, repeats, threads):
    """Time each phase of a training step for two methods, and their ratio per image shown.

    Lazy regularisers count as often as they run; the moving average of the weights is left out.
    """
    pair = compared(method, vs, ops, vs_ops)
    if json_file is not None:
        make_dir(Path(json_file).parent)
    if threads is not None:
        torch.set_num_threads(threads)
    device = str(choose_device(device).type)
    configs = {name: resolved(each, cfg, res, batch, device, kind) for name, (each, kind) in pair.items()}
    about = machine(torch.device(device))
    settings = {"res": res, "batch": batch, "device": device, "cfg": cfg, "repeats": repeats}
    click.echo(heading(settings, about))
    report = compare(configs, repeats, show_progress=True)
    click.echo(table(report, batch))
    if json_file is not None:
        write_json(json_file, report | {"settings": settings, "machine": about})


if __name__ == "__main__":
    main()
