"""The training loop: what happens in a step, and when."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from torch import Tensor

from dnnlib.errors import UserError, as_user_error
from dnnlib.words import counted
from torch_utils import distributed
from torch_utils.distributed import World
from torch_utils.interruption import Interruption
from training.config import RunConfig
from training.cost.hardware import prepare_hardware
from training.cost.pass_size import fitted
from training.data.dataset import ImageDataset
from training.feed import label_drawer, open_dataset, real_batches
from training.growth import at_level, grow, same_layers
from training.losses.phases import make_phases
from training.nonfinite import NonFiniteGuard
from training.pictures import grids
from training.runs import lock as run_lock
from training.runs.checkpoint import BackgroundWriter
from training.runs.log import NoLog, RunLog
from training.runs.saving import RunFiles
from training.runs.start_or_resume import open_state, write_first_files
from training.runs.ticks import Tick
from training.sampling import Model
from training.state import TrainingState
from training.step import adapt_augmentation, cool_down, make_reducers, micro_batches, run_phase, update_ema


class SnapshotMetrics(Protocol):
    """What measures a run at its snapshots (metrics/in_training.py): packages above this one are handed in."""

    def measure(self, run: "Run") -> None:
        """Compute the metrics of run.config.schedule. All ranks call this together."""
        ...

    def best(self, run_dir: Path) -> str | None:
        """The best result so far, in words."""
        ...


def train(config: RunConfig, run_dir: Path, metrics: SnapshotMetrics | None = None) -> None:
    """Train, or continue the run whose checkpoint is in `run_dir`, until config.schedule.total_kimg.

    Every rank of distributed.current() calls this. SIGTERM or SIGINT: the step is finished and a checkpoint written.
    Without `metrics`, those of config.schedule are left out. Raises UserError when another process trains there, when
    the data, the device or the checkpoints are not what the configuration says, when steps keep failing, or when the
    end of the run cannot be written.
    """
    world = prepare_hardware(config, distributed.current())
    with Interruption(world, loading=True) as interruption, run_lock.held(run_dir, world) as remarks:
        dataset = open_dataset(config)
        state, checkpoint = open_state(config, run_dir, world)
        remarks += state.remarks + world.first(lambda: write_first_files(config, run_dir, sys.argv, dataset))
        total, trackers = round(config.schedule.total_kimg * 1000), config.schedule.trackers
        log = RunLog(run_dir, total, state.images, state.seconds, trackers) if world.is_first else NoLog()
        with log, BackgroundWriter() as writer:
            run = Run(fitted(config, world), state, dataset, run_dir, log, writer, metrics)
            for remark in remarks:
                log.say(remark)
            beginning = f"continuing from {checkpoint.name}" if checkpoint else "starting"
            log.say(f"{beginning} at {state.images / 1000:g} kimg on {_place(world)}: {run_dir}")
            if checkpoint is None:
                run.begin()
            run.train_loop(total, interruption)


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
        metrics: SnapshotMetrics | None = None,
    ):
        self.config, self.state, self.dataset, self.run_dir = config, state, dataset, run_dir
        self.log, self.metrics = log, metrics
        self.files = RunFiles(config, run_dir, writer)
        self.phases = make_phases(config)
        self.level = grow(state, config)
        self.reducers = make_reducers(self.phases, state)
        self.guard = NonFiniteGuard(run_dir, config.schedule.nonfinite_limit, state.world.is_first)

    def begin(self) -> None:
        """What a new run has before its first step."""
        if self.state.world.is_first:
            self.log.say("sample pictures from before the first step come first")
            self.save_pictures(reals=True)
        self.save(checkpoint=False)

    def train_loop(self, total: int, interruption: Interruption) -> None:
        """Train until `total` images are shown, or somebody asks to stop."""
        interruption.hold()
        state, is_new_session = self.state, True
        reals = real_batches(self.config, self.dataset, state)
        draw_labels = label_drawer(self.dataset, state)
        tick = Tick(self.config.schedule, state.images)
        while state.images < total:
            self.step(*next(reals), draw_labels)
            if is_new_session:
                self.log.first_step(state.images, tick.seconds)
                self.files.reserve_memory(state)
                is_new_session = False
            self.log.progress(min(state.images, total))
            stopped, done = interruption.requested(), state.images >= total
            if stopped and not done:
                self.stop(interruption.name, tick)
                break
            if done or tick.is_over(state.images):
                tick = self.end_tick(tick, done)
        self.files.check_last()
        self.log.finish(state.images, None if self.metrics is None else self.metrics.best(self.run_dir))

    def step(self, real_images: Tensor, real_labels: Tensor, draw_labels: Callable[[int], Tensor]) -> None:
        """Show this rank's share [n, C, R, R] of a batch to all phases whose turn it is."""
        state = self.state
        real_images = self._grown(real_images)
        cool_down(self.config, state)
        for phase in self.phases:
            if state.steps % phase.interval == 0:
                batches = micro_batches(phase, self.config, state, real_images, real_labels, draw_labels)
                finite = run_phase(phase, self.config, state, batches, self.reducers.get(phase.name))
                self.guard.add(finite, phase.name, batches[-1], state.images)
        update_ema(self.config, state)
        state.images += self.config.schedule.batch_size
        state.steps += 1
        adapt_augmentation(self.config, state)

    def _grown(self, real_images: Tensor) -> Tensor:
        """Bring the networks to their size at this step; the real images as these see them."""
        if self.config.growth is None:
            return real_images
        before, self.level = self.level, grow(self.state, self.config)
        if not same_layers(before, self.level):
            self.reducers = make_reducers(self.phases, self.state)
        return at_level(real_images, self.level)

    def end_tick(self, tick: Tick, done: bool) -> Tick:
        """Statistics and, where it is their turn, snapshot and metrics; returns the next tick."""
        state = self.state
        report = state.statistics.report(state.world)  # waits for the device
        self.log.tick(state.images, tick.seconds_per_kimg(state.images), report)
        if skipped := self.guard.start_tick():
            steps = counted(skipped, "step")
            self.log.say(f"{steps} skipped, with gradients that were NaN or Inf; inputs in {self.guard.saved}")
        for failure in self.files.failures():
            self.log.say(f"{failure}; training goes on, and the next snapshot tries again")
        if done or tick.number_at(state.images) % self.config.schedule.snapshot_ticks == 0:
            self.report()
        return Tick(self.config.schedule, state.images)

    def report(self) -> None:
        """Snapshot, checkpoint, sample pictures, metrics."""
        with self.log.timed("snapshots"):
            self.save()
            if self.state.world.is_first:
                self.save_pictures()
        with self.log.timed("metrics"):
            self.measure()

    def stop(self, signal_name: str, tick: Tick) -> None:
        """Leave a checkpoint from which the run continues as if nothing had been."""
        self.log.spend("training", tick.seconds)
        self.log.say(f"stopped by {signal_name}; the same command continues")
        with self.log.timed("snapshots"):
            self.save(snapshot=False)

    def save(self, snapshot: bool = True, checkpoint: bool = True) -> None:
        """Have the files written; all ranks call this together."""
        self.state.seconds = dict(self.log.seconds)
        self.files.save(self.state, snapshot, checkpoint)

    def save_pictures(self, reals: bool = False) -> None:
        """Sample pictures of the averaged generator; a full disk, or lack of memory, does not end the training."""
        try:
            if reals:
                grids.save_reals(self.run_dir, self.dataset)
            paths = grids.save_training_samples(self.run_dir, self.model(), self.state.images / 1000)
            self.log.pictures(self.state.images, paths)
        except (OSError, MemoryError, RuntimeError, UserError) as error:
            said = as_user_error(error)
            if said is None and not isinstance(error, OSError):
                raise
            self.log.say(f"no sample pictures: {said or error}; training goes on")

    def measure(self) -> None:
        """The metrics of config.schedule."""
        if self.metrics is not None:
            self.metrics.measure(self)
        elif self.config.schedule.metrics:
            self.log.say(f"left out, as nothing here measures: {', '.join(self.config.schedule.metrics)}")

    def model(self) -> Model:
        """The averaged generator as users get it."""
        return Model(self.state.G_ema, self.config, device=self.state.device, kimg=self.state.images / 1000)


def _place(world: World) -> str:
    return str(world.device) if world.size == 1 else f"{world.size} ranks, {world.device.type}"
