"""What the benchmarks time: models and training steps as train.py would make them, with random images for data."""

from collections.abc import Callable, Mapping
from functools import partial

import torch

from benchmarks.harness.turns import seconds_of
from torch_utils.distributed import World
from training.config import RunConfig
from training.cost.hardware import prepare_hardware
from training.layouts.samplers import sample_layout
from training.losses.phases import make_phases
from training.presets.resolve import DataFacts, Options, resolve
from training.state import TrainingState
from training.step import micro_batches, run_phase

INFERENCE = "inference"


def resolved(method: str, cfg: str, resolution: int, batch: int, device: str, ops: str | None = None) -> RunConfig:
    """The run that train.py would make of these options. Raises UserError when they do not go together."""
    facts = DataFacts(name="random", resolution=resolution, num_channels=3, size=batch)
    return resolve(Options(data="random", cfg=cfg, method=method, batch=batch, device=device, ops=ops), facts)


class TimedModel:
    """Something to be timed on the device and with the operators of `config`; `parts`: what there is, by name."""

    parts: dict[str, Callable[[], object]]

    def __init__(self, config: RunConfig):
        self.config = config
        self.world = prepare_hardware(config, World())
        self.device = self.world.device

    def seconds(self, part: str) -> float:
        """Wall time of one call of a part, with these operators and switches."""
        prepare_hardware(self.config, World())
        return seconds_of(self.parts[part], self.device)


class TrainingPhases(TimedModel):
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
        self.parts = {name: partial(self._train, name) for name in self.phases}
        self.parts[INFERENCE] = self._infer

    def per_image(self, spent: Mapping[str, float]) -> float:
        """What a call of each phase takes, seconds or else, per image shown: each phase as often as it runs."""
        return sum(spent[name] / phase.interval for name, phase in self.phases.items()) / self.batch

    def per_image_by_round(self, spent: Mapping[str, list[float]]) -> list[float]:
        """The same of each round."""
        rounds = zip(*(spent[name] for name in self.phases), strict=True)
        return [self.per_image(dict(zip(self.phases, values, strict=True))) for values in rounds]

    def _train(self, name: str) -> None:
        phase, data = self.phases[name], (self.real_images, self.labels, lambda count: self.labels[:count])
        run_phase(phase, self.config, self.state, micro_batches(phase, self.config, self.state, *data))

    @torch.inference_mode()
    def _infer(self) -> None:
        self.state.G_ema(self.z, self.labels, self.layout)
