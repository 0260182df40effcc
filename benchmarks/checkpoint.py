"""How large a checkpoint is, how long it takes to write, and how long training stands still for it.

    python -m benchmarks.checkpoint --cfg paper256 --res 256 --device cpu

Training waits only while the state is copied in memory; a thread writes the file while it goes on. The optimizers'
moments are there, as after a first step. The first copy makes the memory that later ones use again.
"""

import tempfile
import time
from pathlib import Path

import click
import torch

from benchmarks.train_step import machine, resolved
from dnnlib.cli import Command
from dnnlib.files import write_json
from torch_utils.distributed import World
from training.config import RunConfig
from training.hardware import prepare_hardware
from training.runs.checkpoint import BackgroundWriter, checkpoint_path
from training.state import TrainingState

Seconds = dict[str, list[float]]


def trained_state(config: RunConfig) -> TrainingState:
    """As after a step: every parameter has its moments."""
    state = TrainingState.create(config, prepare_hardware(config, World()))
    for name, optimizer in state.optimizers.items():
        network = getattr(state.networks, name)
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return state


def measure(state: TrainingState, config: RunConfig, folder: Path, repeats: int) -> tuple[int, Seconds]:
    """(bytes of the file, {"stall", "write"}: seconds of each repeat)."""
    seconds: Seconds = {"stall": [], "write": []}
    with BackgroundWriter() as writer:
        for number in range(repeats):
            path = checkpoint_path(folder, number)
            start = time.perf_counter()
            writer.submit(path, writer.snapshot(state.tensors()), state.metadata(config))
            seconds["stall"].append(time.perf_counter() - start)
            writer.wait()
            seconds["write"].append(time.perf_counter() - start)
            size = path.stat().st_size
            path.unlink()
    return size, seconds


@click.command(cls=Command)
@click.option("--cfg", default="paper256", show_default=True, help="Base configuration.")
@click.option("--method", default="spatialgan", show_default=True)
@click.option("--res", default=256, show_default=True, help="Side of the images in pixels.")
@click.option("--device", default="auto", show_default=True, help="auto, cuda or cpu.")
@click.option("--repeats", type=click.IntRange(min=2), default=3, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write.  [default: the temporary folder]")
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="For the report.")
def main(cfg, method, res, device, repeats, folder, json_path):
    """Size of a checkpoint, seconds to write it, seconds that training waits."""
    config = resolved(method, cfg, res, 4, device)
    state = trained_state(config)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        size, seconds = measure(state, config, Path(place), repeats)
    click.echo(f"{cfg} {method} {res}x{res} on {state.device}: {size / 2**20:.0f} MiB")
    for name, values in seconds.items():
        click.echo(f"{name:6} {'  '.join(f'{value:6.2f}' for value in values)} s")
    if json_path is not None:
        write_json(json_path, {"bytes": size, "seconds": seconds, "machine": machine(state.device)})


if __name__ == "__main__":
    main()
