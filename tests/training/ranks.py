"""What test_ranks.py has one or two processes do: a step of every phase."""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch
from safetensors.torch import save_file

from tests.precision import float64
from tests.training.small import discriminator_config, generator_config, run_config
from torch_utils.distributed import World, current
from training import step
from training.config import RunConfig
from training.loop import train
from training.losses import regularizers
from training.losses.phases import make_phases
from training.presets.options import Options
from training.presets.resolve import DataFacts, resolve
from training.state import TrainingState

BATCH, STEPS = 8, 2
MEASURE = regularizers.path_lengths


def one_group_config(**changes) -> RunConfig:
    """Without what differs from rank to rank: groups of the minibatch standard deviation, and per-pixel noise."""
    given = {
        "generator": generator_config(synthesis={"use_noise": False}),
        "discriminator": discriminator_config(mbstd_num_channels=0),
        "schedule": {"batch_size": BATCH},
        "loss": {"style_mixing_prob": 0.9},
    }
    return run_config(**{**given, **changes})


def gradients(folder: Path, bucket_sizes: tuple[int, ...]) -> None:
    """Write what each optimiser got in each phase of two steps, with w_avg and the mean path length after them.

    One file for each number of bytes that a bucket of gradients holds, see `file_of`. All of it in float64: in float32
    rounding alone, which differs with the processor, changes gradients by 1e-5, and by 1e-4 where GradCAM's relu has
    its kink.
    """
    with float64():
        for bucket_bytes in bucket_sizes:
            _write_gradients(file_of(folder, bucket_bytes), bucket_bytes)


def file_of(folder: Path, bucket_bytes: int) -> Path:
    return folder / f"gradients-{bucket_bytes}.safetensors"


def _write_gradients(path: Path, bucket_bytes: int) -> None:
    world, config = current(), one_group_config()
    state = TrainingState.create(config, world)
    phases = make_phases(config)
    reducers = step.make_reducers(phases, state)
    for reducer in reducers.values():
        reducer._bucket_bytes = bucket_bytes
    share = BATCH // world.size
    draw = torch.Generator().manual_seed(0)
    path_noise = torch.randn([BATCH // 2, 3, 32, 32], generator=draw)
    seen = {}
    for number in range(STEPS):
        reals = torch.rand([BATCH, 3, 32, 32], generator=draw)[world.rank * share :][:share]
        for phase in phases:
            with patch.object(regularizers, "path_lengths", along(path_noise, world)):
                found = _gradients_of(phase, config, state, reals, reducers)
            seen |= {f"{number}.{phase.name}.{name}": gradient for name, gradient in found}
        step.update_ema(config, state)
    seen |= {"w_avg": state.G_ema.mapping.w_avg, "pl_mean": state.networks.pl_mean}
    if world.is_first:
        save_file({name: value.detach().contiguous().clone() for name, value in seen.items()}, path)


def along(noise: torch.Tensor, world: World) -> Callable:
    """The direction that path lengths are measured along is a rank's own; here each takes its part of a common one."""
    share = len(noise) // world.size
    mine = noise[world.rank * share :][:share]
    return lambda images, ws, _: MEASURE(images, ws, mine)


def _gradients_of(phase, config, state, reals, reducers):
    network, optimizer = getattr(state.networks, phase.trained), state.optimizers[phase.trained]
    seen = []
    original = optimizer.step

    def look_and_step():
        seen.extend((name, p.grad.clone()) for name, p in network.named_parameters() if p.grad is not None)
        original()

    optimizer.step = look_and_step
    labels = torch.zeros([len(reals), 0])
    batches = step.micro_batches(phase, config, state, reals, labels, lambda n: torch.zeros([n, 0]))
    step.run_phase(phase, config, state, batches, reducers.get(phase.name))
    optimizer.step = original
    return seen


GROWING = ("growth.start_resolution=8", "growth.fade_kimg=0.016", "growth.stable_kimg=0.008",
           "networks.channel_base=128", "networks.channel_max=8", "discriminator.mbstd_num_channels=0",
           "generator.z_dim=8", "generator.mapping.num_layers=1", "schedule.kimg_per_tick=0.048")  # fmt: skip


def growing_config(data: Path, procs: int) -> RunConfig:
    """Six steps of ProGAN: 8x8, two of the fade to 16x16, which is then there, and the fade to 32x32."""
    facts = DataFacts("data", resolution=32, num_channels=3, size=16)
    options = Options(
        data=str(data), cfg="demo", method="progan", batch=BATCH, kimg=0.048, workers=0, device="cpu", metrics="none",
        procs=procs, settings=GROWING,
    )  # fmt: skip
    return resolve(options, facts)


def grow(run_dir: Path, data: Path) -> None:
    """Train a growing network in as many processes as there are, in float64."""
    with float64():
        train(growing_config(data, current().size), run_dir)
