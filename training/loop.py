"""The training loop: what happens in a step, and when."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dnnlib.files import write_json
from metrics.registry import MetricContext, append_result, evaluate
from torch_utils import ops
from torch_utils.allocator import keep_memory, return_memory
from torch_utils.devices import choose_device
from torch_utils.stats import RunningStatistics
from training import pictures
from training.config import RunConfig
from training.dataset import ImageDataset, SampleOrder, batches
from training.phases import Phase, draw_batch, make_phases
from training.run_log import RunLog
from training.sampling import Model
from training.snapshot import save_snapshot, snapshot_name
from training.state import TrainingState, checkpoint_path, drop_old_checkpoints, latest_checkpoint

METRIC_DRAWS = {"di": 10, "w": 10}  # in training; calc_metrics.py makes the full number


def train(config: RunConfig, run_dir: Path) -> None:
    """Train, or continue the run whose checkpoint is in `run_dir`, until config.schedule.total_kimg.

    Raises UserError when the data or the device are not what the configuration says.
    """
    device = prepare_hardware(config)
    dataset = open_dataset(config)
    state = TrainingState.create(config, device)
    checkpoint = latest_checkpoint(run_dir)
    if checkpoint is not None:
        state.load(checkpoint)
    write_json(run_dir / "config.json", config.model_dump(mode="json"))
    total = round(config.schedule.total_kimg * 1000)
    with RunLog(run_dir, total, state.images) as log:
        beginning = "continuing" if checkpoint else "starting"
        log.say(f"{beginning} at {state.images / 1000:g} kimg on {device}: {run_dir}")
        if checkpoint is None:
            save_reals(run_dir, dataset)
            write_snapshot(state, config, run_dir)
        _run(config, state, dataset, run_dir, total, log)
        log.say(f"finished after {state.images / 1000:g} kimg, {state.seconds / 60:.1f} minutes of training: {run_dir}")


def _run(
    config: RunConfig, state: TrainingState, dataset: ImageDataset, run_dir: Path, total: int, log: RunLog
) -> None:
    schedule = config.schedule
    tick_images = schedule.kimg_per_tick * 1000
    reals = real_batches(config, dataset, state)
    draw_labels = label_drawer(dataset, state)
    phases, statistics = make_phases(config), RunningStatistics()
    ticks, tick_start, tick_time = int(state.images // tick_images), state.images, time.perf_counter()
    while state.images < total:
        real_images, real_labels = next(reals)
        for phase in phases:
            if state.steps % phase.interval == 0:
                run_phase(phase, config, state, real_images, real_labels, draw_labels, statistics)
        update_ema(config, state)
        state.images += schedule.batch_size
        state.steps += 1
        log.progress(min(state.images, total))

        done = state.images >= total
        if state.images < (ticks + 1) * tick_images and not done:
            continue
        report = statistics.report()  # waits for the device
        spent = time.perf_counter() - tick_time
        state.seconds += spent
        log.tick(state.images, spent / (state.images - tick_start) * 1000, report)
        ticks = int(state.images // tick_images)
        if done or ticks % schedule.snapshot_ticks == 0:
            save_everything(config, state, dataset, run_dir, log)
        tick_start, tick_time = state.images, time.perf_counter()


def run_phase(
    phase: Phase,
    config: RunConfig,
    state: TrainingState,
    real_images: Tensor,
    real_labels: Tensor,
    draw_labels: Callable[[int], Tensor],
    statistics: RunningStatistics,
) -> None:
    """One optimiser step of one network; gradients of the passes are summed."""
    networks, per_pass = state.networks, config.schedule.batch_gpu or len(real_images)
    trained = getattr(networks, phase.trained)
    networks.G.requires_grad_(phase.trained == "G")
    networks.D.requires_grad_(phase.trained == "D")
    networks.D.freeze_layers(config.discriminator.freeze_layers)
    for images, labels in zip(real_images.split(per_pass), real_labels.split(per_pass), strict=True):
        batch = draw_batch(networks, config, state.streams, draw_labels(len(images)), images, labels)
        loss, terms = phase.loss(networks, batch, config, state.streams)
        (loss * phase.gain).backward()
        for name, values in terms.items():
            statistics.add(name, values)
    for parameter in trained.parameters():
        if parameter.grad is not None:
            torch.nan_to_num(parameter.grad, nan=0, posinf=1e5, neginf=-1e5, out=parameter.grad)
    state.optimizers[phase.trained].step()
    state.optimizers[phase.trained].zero_grad(set_to_none=True)


@torch.no_grad()
def update_ema(config: RunConfig, state: TrainingState) -> None:
    """G_ema <- beta G_ema + (1 - beta) G; buffers are copied."""
    beta = config.ema.beta(state.images, config.schedule.batch_size)
    averaged, current = list(state.G_ema.parameters()), list(state.networks.G.parameters())
    torch._foreach_lerp_(averaged, current, 1 - beta)
    for target, source in zip(state.G_ema.buffers(), state.networks.G.buffers(), strict=True):
        target.copy_(source)


def save_everything(config: RunConfig, state: TrainingState, dataset: ImageDataset, run_dir: Path, log: RunLog) -> None:
    """Snapshot, pictures, checkpoint, metrics: a run whose checkpoint says it is finished has its last snapshot."""
    write_snapshot(state, config, run_dir)
    state.save(checkpoint_path(run_dir, state.images), config)
    drop_old_checkpoints(run_dir)
    if config.schedule.metrics:
        context = MetricContext(
            model=model_of(state, config), D=state.networks.D, dataset=dataset, seed=config.seed, batch_size=64
        )
        for name in config.schedule.metrics:
            result = evaluate(name, context.with_num(METRIC_DRAWS.get(name)))
            append_result(run_dir, result)
            log.metric(state.images, name, result["results"])


def save_reals(run_dir: Path, dataset: ImageDataset) -> None:
    """A grid of training images, to compare samples with."""
    chosen = range(0, len(dataset), max(len(dataset) // 64, 1))[:64]
    pictures.save_png(run_dir / "reals.png", pictures.image_grid(np.stack([dataset[i][0] for i in chosen])))


def write_snapshot(state: TrainingState, config: RunConfig, run_dir: Path) -> None:
    """Networks and sample pictures."""
    kimg = state.images / 1000
    networks = {"G": state.networks.G, "D": state.networks.D, "G_ema": state.G_ema}
    save_snapshot(run_dir / snapshot_name(kimg), config, kimg, networks)
    pictures.save_training_samples(run_dir, model_of(state, config), kimg)


def model_of(state: TrainingState, config: RunConfig) -> Model:
    """The averaged generator as users get it."""
    return Model(state.G_ema, config, device=state.networks.pl_mean.device, kimg=state.images / 1000)


def prepare_hardware(config: RunConfig) -> torch.device:
    """The device of this process, with the arithmetic switches set and the operators chosen."""
    hardware = config.hardware
    ops.use(ops.default() if hardware.ops == "auto" else hardware.ops)
    device = choose_device(hardware.device)
    torch.backends.cuda.matmul.allow_tf32 = hardware.allow_tf32
    torch.backends.cudnn.allow_tf32 = hardware.allow_tf32
    torch.backends.cudnn.benchmark = hardware.benchmark
    if device.type == "cpu":
        return_memory() if hardware.ops == "reference" else keep_memory()
    return device


def open_dataset(config: RunConfig) -> ImageDataset:
    """The training images as the configuration names them."""
    data = config.data
    return ImageDataset(
        data.path,
        resolution=config.generator.img_resolution,
        use_labels=data.conditional,
        mirror=data.mirror,
        max_size=data.subset,
        seed=config.seed,
        cache=True,
    )


def real_batches(config: RunConfig, dataset: ImageDataset, state: TrainingState) -> Iterator[tuple[Tensor, Tensor]]:
    """Real images [N, C, R, R] in [-1, 1] and labels on the device, from where the state left off."""
    device = state.networks.pl_mean.device
    order = SampleOrder(len(dataset), config.seed)
    source = batches(
        dataset,
        order,
        state.images,
        config.schedule.batch_size,
        workers=config.data.workers,
        pin_memory=device.type == "cuda",
    )
    for images, labels in source:
        images = images.to(device, non_blocking=True).float() / 127.5 - 1
        yield images, labels.to(device, non_blocking=True)


def label_drawer(dataset: ImageDataset, state: TrainingState) -> Callable[[int], Tensor]:
    """A function count -> labels [count, c_dim] for the generator: those of random real images."""
    device = state.networks.pl_mean.device
    if dataset.label_dim == 0:
        return lambda count: torch.zeros([count, 0], device=device)
    labels = torch.stack([torch.as_tensor(dataset.get_label(i)) for i in range(len(dataset))]).to(device)
    stream = state.streams["labels"]
    return lambda count: labels[torch.randint(len(labels), [count], generator=stream, device=device)]
