"""The training loop: what happens in a step, and when."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from dnnlib.errors import UserError, as_user_error
from metrics.best import best_in_words, note_if_best
from metrics.registry import MetricContext, append_result, evaluate
from torch_utils import distributed
from torch_utils.distributed import World
from torch_utils.interruption import Interruption
from training.config import RunConfig
from training.cost.pass_size import fitted
from training.data.dataset import ImageDataset
from training.feed import label_drawer, open_dataset, real_batches
from training.hardware import prepare_hardware
from training.losses.phases import make_phases
from training.nonfinite import NonFiniteGuard
from training.pictures import grids
from training.runs import lock as run_lock
from training.runs import start as run_start
from training.runs.checkpoint import (
    BackgroundWriter,
    checkpoint_path,
    drop_old_checkpoints,
    known_best,
    latest_checkpoint,
)
from training.runs.log import NoLog, RunLog
from training.runs.snapshot import drop_old_snapshots, network_tensors, snapshot_metadata, snapshot_name
from training.sampling import Model
from training.state import TrainingState
from training.step import adapt_augmentation, make_reducers, micro_batches, run_phase, update_ema

METRIC_DRAWS = {"di": 10, "w": 10}  # in training; calc_metrics.py makes the full number


def train(config: RunConfig, run_dir: Path) -> None:
    """Train, or continue the run whose checkpoint is in `run_dir`, until config.schedule.total_kimg.

    Every rank of distributed.current() calls this. SIGTERM or SIGINT: the step is finished and a checkpoint written.
    Raises UserError when another process trains there, when the data, the device or the checkpoints are not what the
    configuration says, when steps keep failing, or when the end of the run cannot be written.
    """
    world = prepare_hardware(config, distributed.current())
    with Interruption(world, loading=True) as interruption, run_lock.held(run_dir, world) as remarks:
        dataset = open_dataset(config)
        state, checkpoint = run_start.open_state(config, run_dir, world)
        remarks += state.remarks + world.first(lambda: run_start.write_first_files(config, run_dir, sys.argv, dataset))
        total, trackers = round(config.schedule.total_kimg * 1000), config.schedule.trackers
        log = RunLog(run_dir, total, state.images, state.seconds, trackers) if world.is_first else NoLog()
        with log, BackgroundWriter() as writer:
            run = Run(fitted(config, world), state, dataset, run_dir, log, writer)
            for remark in remarks:
                log.say(remark)
            beginning = f"continuing from {checkpoint.name}" if checkpoint else "starting"
            log.say(f"{beginning} at {state.images / 1000:g} kimg on {_place(world)}: {run_dir}")
            if checkpoint is None:
                run.begin()
            run.go(total, interruption)


class Run:
    """A run under way: the state, and everything around it that a step needs."""

    def __init__(
        self,
        config: RunConfig,
        state: TrainingState,
        dataset: ImageDataset,
        run_dir: Path,
        log: RunLog | NoLog,
        writer: BackgroundWriter,
    ):
        self.config, self.state, self.dataset, self.run_dir = config, state, dataset, run_dir
        self.log, self.writer = log, writer
        self.phases = make_phases(config)
        self.reducers = make_reducers(self.phases, state)
        self.guard = NonFiniteGuard(run_dir, config.schedule.nonfinite_limit, state.world.is_first)
        self.last_files: list[Path] = []  # of the last save

    def begin(self) -> None:
        """What a new run has before its first step."""
        if self.state.world.is_first:
            self.log.say("sample pictures of the untrained generator come first")
            self.save_pictures(reals=True)
        self.save(checkpoint=False)

    def go(self, total: int, interruption: Interruption) -> None:
        """Train until `total` images are shown, or somebody asks to stop."""
        interruption.hold()
        schedule, state = self.config.schedule, self.state
        tick_images = schedule.kimg_per_tick * 1000
        reals = real_batches(self.config, self.dataset, state)
        draw_labels = label_drawer(self.dataset, state)
        ticks, tick_start, tick_time = int(state.images // tick_images), state.images, time.perf_counter()
        first = state.steps
        while state.images < total:
            self.step(*next(reals), draw_labels)
            if state.steps == first + 1:
                self.log.first_step(state.images, time.perf_counter() - tick_time)
                self.reserve_memory()
            self.log.progress(min(state.images, total))
            stopped, done = interruption.requested(), state.images >= total
            if stopped and not done:
                self.log.spend("training", time.perf_counter() - tick_time)
                self.stop(interruption.name)
                break
            if state.images < (ticks + 1) * tick_images and not done:
                continue
            report = state.statistics.report(state.world)  # waits for the device
            spent = time.perf_counter() - tick_time
            self.log.tick(state.images, spent / (state.images - tick_start) * 1000, report)
            self._say_skipped()
            self._say_failures()
            ticks = int(state.images // tick_images)
            if done or ticks % schedule.snapshot_ticks == 0:
                self.report()
            tick_start, tick_time = state.images, time.perf_counter()
        self._make_sure_of_files()
        self.log.finish(state.images, best_in_words(self.run_dir))

    def step(self, real_images: Tensor, real_labels: Tensor, draw_labels: Callable[[int], Tensor]) -> None:
        """Show this rank's share [n, C, R, R] of a batch to all phases whose turn it is."""
        state = self.state
        for phase in self.phases:
            if state.steps % phase.interval == 0:
                batches = micro_batches(phase, self.config, state, real_images, real_labels, draw_labels)
                finite = run_phase(phase, self.config, state, batches, self.reducers.get(phase.name))
                self.guard.add(finite, phase.name, batches[-1], state.images)
        update_ema(self.config, state)
        state.images += self.config.schedule.batch_size
        state.steps += 1
        adapt_augmentation(self.config, state)

    def stop(self, signal_name: str) -> None:
        """Leave a checkpoint from which the run continues as if nothing had been."""
        self.log.say(f"stopped by {signal_name}; the same command continues")
        with self.log.timed("snapshots"):
            self.save(snapshot=False)

    def report(self) -> None:
        """Snapshot, checkpoint, grids, metrics."""
        with self.log.timed("snapshots"):
            self.save()
            if self.state.world.is_first:
                self.save_pictures()
        with self.log.timed("metrics"):
            self.measure()

    def save(self, snapshot: bool = True, checkpoint: bool = True) -> None:
        """Have the files written, the snapshot first: a run whose checkpoint says it is finished has its snapshot."""
        state, kimg = self.state, self.state.images / 1000
        state.seconds = dict(self.log.seconds)
        tensors = state.tensors()
        if not state.world.is_first:
            return
        copies = self.writer.snapshot(tensors if checkpoint else network_tensors(tensors))
        self.last_files = []
        if snapshot:
            self.last_files.append(self.run_dir / snapshot_name(kimg))
            self.writer.submit(self.last_files[-1], network_tensors(copies), snapshot_metadata(self.config, kimg))
        if checkpoint:
            self.last_files.append(checkpoint_path(self.run_dir, state.images))
            self.writer.submit(self.last_files[-1], copies, state.metadata(self.config))
        images = state.images
        self.writer.call(lambda: self._drop_old(images), self.run_dir)

    def _drop_old(self, images: int) -> None:
        """Checkpoints and snapshots that are not kept."""
        schedule, best = self.config.schedule, known_best(self.run_dir)
        drop_old_checkpoints(self.run_dir, schedule.keep_checkpoints, images)
        drop_old_snapshots(self.run_dir, schedule.keep_snapshots, images / 1000, best and best["snapshot"])

    def reserve_memory(self) -> None:
        """Make the copies' memory now, when everything has been allocated once, and not at the first checkpoint."""
        tensors = self.state.tensors()
        if self.state.world.is_first:
            self.writer.snapshot(tensors)

    def save_pictures(self, reals: bool = False) -> None:
        """Sample pictures of the averaged generator; a full disk does not end the training."""
        try:
            if reals:
                save_reals(self.run_dir, self.dataset)
            paths = grids.save_training_samples(self.run_dir, self.model(), self.state.images / 1000)
            self.log.pictures(self.state.images, paths)
        except OSError as error:
            self.log.say(f"no sample pictures: {error.strerror or error}")

    def measure(self) -> None:
        """The metrics of config.schedule, into metric-NAME.jsonl."""
        state = self.state
        context = MetricContext(
            model=self.model(),
            D=state.networks.D,
            dataset=self.dataset,
            seed=self.config.seed,
            batch_size=64,
            world=state.world,
        )
        for name in self.config.schedule.metrics:
            try:
                result = evaluate(name, context.with_num(METRIC_DRAWS.get(name)))
            except Exception as error:
                if state.world.size > 1 and not isinstance(error, UserError):
                    raise  # the other ranks wait in the middle of it
                self.log.say(f"metric {name} is left out: {as_user_error(error) or repr(error)}; training goes on")
                continue
            if state.world.is_first:
                self.log.metric(state.images, name, result["results"])
                self._note_result(name, result)

    def _note_result(self, name: str, result: dict[str, Any]) -> None:
        """Into metric-NAME.jsonl and, where it is the best yet, best.json; a full disk does not end the training."""
        try:
            append_result(self.run_dir, result)
            note_if_best(self.run_dir, name, self.config.schedule.metrics, result["results"], self.state.images)
        except (OSError, UserError) as error:
            self.log.say(f"the result of {name} is not kept: {getattr(error, 'strerror', None) or error}")

    def model(self) -> Model:
        """The averaged generator as users get it."""
        return Model(self.state.G_ema, self.config, device=self.state.device, kimg=self.state.images / 1000)

    def _say_skipped(self) -> None:
        skipped = self.guard.start_tick()
        if skipped:
            self.log.say(f"{skipped} steps skipped, their gradients were NaN or Inf; inputs in {self.guard.saved}")

    def _say_failures(self) -> None:
        for failure in self.writer.failures():
            self.log.say(f"{failure}; training goes on, and the next snapshot tries again")

    def _make_sure_of_files(self) -> None:
        """Raises UserError when a file of the last save is not there."""
        self.writer.wait()
        reasons = {path.name: reason for path in self.last_files if (reason := self.writer.lost(path))}
        if reasons:
            last = latest_checkpoint(self.run_dir)
            raise UserError(
                f"the end of this run is not saved: {' and '.join(reasons)} missing ({next(iter(reasons.values()))}); "
                f"make room or give access, then the same command goes on from {last.name if last else 'the beginning'}"
            )


def save_reals(run_dir: Path, dataset: ImageDataset) -> None:
    """A grid of training images, to compare samples with."""
    chosen = range(0, len(dataset), max(len(dataset) // 64, 1))[:64]
    grids.save_png(run_dir / "reals.png", grids.image_grid(np.stack([dataset[i][0] for i in chosen])))


def _place(world: World) -> str:
    return str(world.device) if world.size == 1 else f"{world.size} ranks, {world.device.type}"
