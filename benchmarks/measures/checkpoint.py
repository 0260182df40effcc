"""How large a checkpoint is, how long it takes to write, and how long training stands still for it.

Training waits only while the state is copied in memory; a thread writes the file while it goes on. The optimizers'
moments are there, as after a first step. The first copy makes the memory that later ones use again; it does not count.
How long a disk takes over a file depends on what else it has to do: of that, only the range means something.
"""

import tempfile
import time
from pathlib import Path

import torch

from benchmarks.harness.run import Findings, Run
from benchmarks.harness.series import Series
from benchmarks.subjects import resolved
from dnnlib.files import make_dir
from torch_utils.distributed import World
from training.config import RunConfig
from training.cost.hardware import prepare_hardware
from training.runs.checkpoint import BackgroundWriter, checkpoint_path
from training.state import TrainingState

WAITS, THERE = "training waits", "the file is there"


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


def measure(run: Run, state: TrainingState, config: RunConfig, folder: Path) -> Findings:
    """Seconds that training waits for a checkpoint, and until its file is there; bytes of the file."""
    waits, there = [], []
    run.progress.expect(1 + run.rounds)
    with BackgroundWriter() as writer:
        for number in range(1 + run.rounds):
            path = checkpoint_path(folder, number)
            with run.progress.doing("writing"):
                start = time.perf_counter()
                writer.submit(path, writer.snapshot(state.tensors()), state.metadata(config))
                waits.append(time.perf_counter() - start)
                writer.wait()
                there.append(time.perf_counter() - start)
            size = path.stat().st_size
            path.unlink()
    series = {WAITS: Series.of("s", waits[1:]), THERE: Series.of("s", there[1:], judged=False)}
    lines = [f"{size / 2**20:.0f} MiB; the first time training waits {waits[0]:.2f} s"]
    return Findings({"checkpoint": series}, facts={"mib": size / 2**20, "first_wait_s": waits[0]}, lines=lines)


def answer(run: Run, cfg: str, method: str, res: int, folder: Path | None) -> Findings:
    """What the command of this name does, and finds."""
    config = resolved(method, cfg, res, 4, run.device.type)
    if folder is not None:
        make_dir(folder)
    run.begin()
    with run.progress.one_more("making the state"):
        state = trained_state(config)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        return measure(run, state, config, Path(place))
