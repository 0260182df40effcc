"""What a step does to the networks: the micro-batches of a phase, its gradients, the average, the augmentation."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from torch_utils.gradients import GradientReducer
from training.config import RunConfig
from training.inputs import Batch, Inputs, draw_inputs
from training.losses.phases import Phase
from training.nonfinite import all_finite
from training.state import TrainingState

RUNNING_MEANS = ("w_avg", "running_mean", "running_var")  # buffers that each rank moves by its own share of a batch


def micro_batches(
    phase: Phase,
    config: RunConfig,
    state: TrainingState,
    real_images: Tensor,
    real_labels: Tensor,
    draw_labels: Callable[[int], Tensor],
) -> list[Batch]:
    """This rank's share of a batch, cut into micro-batches (passes) that fit the device.

    Latents are drawn for the whole batch on every rank, so that a run sees the same ones whatever the number of ranks
    and passes.
    """
    share = len(real_images)
    per_pass = config.schedule.batch_gpu or share
    generated = phase.generated(per_pass)
    inputs: list[Inputs | None] = [None] * (share // per_pass)
    if generated:
        world, count = state.world, len(inputs) * generated
        everyone = draw_inputs(state.networks.G, config, state.common, draw_labels(count * world.size))
        mine = everyone[world.rank * count : (world.rank + 1) * count]
        inputs = [mine[start : start + generated] for start in range(0, count, generated)]
    reals = zip(inputs, real_images.split(per_pass), real_labels.split(per_pass), strict=True)
    return [Batch(*each, passes=len(inputs)) for each in reals]


def run_phase(
    phase: Phase, config: RunConfig, state: TrainingState, batches: list[Batch], reducer: GradientReducer | None = None
) -> Tensor:
    """One optimiser step of one network; gradients of the passes are summed, those of the ranks averaged.

    The step is skipped where a gradient is NaN or Inf. Returns whether all were finite: bool [], on the device.
    """
    networks, optimizer = state.networks, state.optimizers[phase.trained]
    networks.G.requires_grad_(phase.trained == "G")
    networks.D.requires_grad_(phase.trained == "D")
    networks.D.freeze_layers(config.discriminator.freeze_layers)
    compiled = state.compiled_D if phase.uses_compiled_D else None
    used = networks if compiled is None else replace(networks, D=compiled)
    for batch in batches:
        loss, terms = phase.loss(used, batch, config, state.streams, state.world)
        if reducer is not None and batch is batches[-1]:
            reducer.begin()
        (loss * phase.grad_scale).backward()
        for name, values in terms.items():
            state.statistics.add(name, values)
    if reducer is not None:
        reducer.finish()
    gradients = [p.grad for p in getattr(networks, phase.trained).parameters() if p.grad is not None]
    finite = all_finite(gradients)
    vars(optimizer)["found_inf"] = finite.logical_not().float()  # the fused step looks at it on the device
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return finite


def cool_down(config: RunConfig, state: TrainingState) -> None:
    """Set the learning rates of the step that comes (schedule.cooldown)."""
    share = config.schedule.learning_share(state.images)
    for optimizer in state.optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * share


def make_reducers(phases: list[Phase], state: TrainingState) -> dict[str, GradientReducer]:
    """One for each phase, as each has its own order of gradients; none in a world of one."""
    if state.world.size == 1:
        return {}
    for network in (state.networks.G, state.networks.D):
        network.requires_grad_(True)
    return {p.name: GradientReducer(getattr(state.networks, p.trained).parameters(), state.world) for p in phases}


@torch.no_grad()
def update_ema(config: RunConfig, state: TrainingState) -> None:
    """G_ema <- beta G_ema + (1 - beta) G; buffers are copied."""
    beta = config.ema.beta(state.images, config.schedule.batch_size)
    averaged: list[Tensor] = list(state.G_ema.parameters())
    current: list[Tensor] = list(state.networks.G.parameters())
    torch._foreach_lerp_(averaged, current, 1 - beta)
    state.world.mean_([b for name, b in state.networks.G.named_buffers() if name.rpartition(".")[2] in RUNNING_MEANS])
    for targets, sources in _by_type(list(state.G_ema.buffers()), list(state.networks.G.buffers())):
        torch._foreach_copy_(targets, sources)


def _by_type(targets: list[Tensor], sources: list[Tensor]) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Pairs of lists of one type each: PyTorch copies such a list at once, and others one by one."""
    for dtype in dict.fromkeys(target.dtype for target in targets):
        pairs = [(t, s) for t, s in zip(targets, sources, strict=True) if t.dtype == dtype]
        yield [t for t, _ in pairs], [s for _, s in pairs]


def adapt_augmentation(config: RunConfig, state: TrainingState) -> None:
    """Every few steps the strength of augmentation follows what D made of the real images since."""
    augment = state.networks.augment
    if augment is not None and state.steps % config.augment.interval == 0:
        augment.strength.adapt()
        state.statistics.add("augment/p", augment.strength.p)
