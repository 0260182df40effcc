"""Everything that must survive a crash, and its way into a checkpoint file and back."""

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from dnnlib.errors import UserError
from torch_utils.distributed import World
from torch_utils.randomness import RandomStreams
from torch_utils.stats import RunningStatistics
from torch_utils.tensor_files import write_tensors
from training.augment.pipeline import make_pipe
from training.config import OptimizerConfig, RunConfig
from training.losses.phases import Networks
from training.networks.backbones import make_discriminator, make_generator
from training.networks.generator import Generator, set_memory_format
from training.runs import resume
from training.runs.checkpoint import ENTRY, VERSION, read_about, read_tensors
from training.runs.snapshot import open_snapshot


@dataclass
class TrainingState:
    """The networks, their optimizers, the random streams, the statistics since the last report, and the counters.

    `common` are the random streams that all ranks draw alike, and share out; `streams` are this rank's own. `images`
    counts the real images shown to D, `seconds` what the run has spent so far, by part (see RunLog).
    """

    networks: Networks
    G_ema: Generator
    optimizers: dict[str, torch.optim.Optimizer]
    common: RandomStreams
    streams: RandomStreams
    world: World = field(default_factory=World)
    statistics: RunningStatistics = field(default_factory=RunningStatistics)
    images: int = 0
    steps: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    compiled_D: nn.Module | None = None  # shares its parameters with networks.D

    @staticmethod
    def create(config: RunConfig, world: World) -> "TrainingState":
        """Fresh weights from config.seed, or those of config.resume: a snapshot, where names and shapes agree."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            G, D = make_generator(config.generator), make_discriminator(config.discriminator)
        G_ema = copy.deepcopy(G).eval().requires_grad_(False)
        if config.resume is not None and resume.kind_of(config.resume) is resume.Kind.WEIGHTS:
            _take_weights(config.resume, G, G_ema, D)
        device = world.device
        channels_last = config.hardware.keeps_channels_last(device.type)
        for network in (G, D, G_ema):
            network.to(device)
            set_memory_format(network, channels_last)
        optimizers = {"G": _adam(G, config.generator_optimizer), "D": _adam(D, config.discriminator_optimizer)}
        common, own = RandomStreams(config.seed, device), RandomStreams(config.seed, device, world.rank)
        augment = make_pipe(config.augment, config.schedule.batch_size)
        augment = None if augment is None else augment.to(device)
        networks = Networks(G, D, torch.zeros([], device=device), augment, torch.zeros([], device=device))
        mode = config.hardware.compile
        compiled = None if mode == "no" else torch.compile(D, mode=mode, dynamic=False)
        return TrainingState(networks, G_ema, optimizers, common, own, world, compiled_D=compiled)

    @property
    def device(self) -> torch.device:
        return self.world.device

    def tensors(self) -> dict[str, Tensor]:
        """All tensors of the state under flat names; random streams of all ranks, so every rank has to call."""
        flat = {"pl_mean": self.networks.pl_mean, "move_mean": self.networks.move_mean}
        for name, module in self._modules().items():
            flat |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for number, slots in optimizer.state_dict()["state"].items():
                flat |= {f"optimizer.{name}.{number}.{key}": torch.as_tensor(value) for key, value in slots.items()}
        flat |= {f"stream.{name}": value for name, value in self.common.state_dict().items()}
        for name, value in self.streams.state_dict().items():
            everyone = self.world.gather_rows(value[None].to(self.device)).cpu()
            flat |= {f"stream.{rank}.{name}": each for rank, each in enumerate(everyone)}
        self.statistics.collect(self.world)
        return flat | {f"statistics.{name}": value for name, value in self.statistics.state_dict().items()}

    def save(self, path: Path, config: RunConfig) -> None:
        """Write a checkpoint, and wait for it."""
        flat = {name: value.detach().cpu().contiguous() for name, value in self.tensors().items()}
        write_tensors(path, flat, self.metadata(config))

    def metadata(self, config: RunConfig) -> dict[str, str]:
        """What a checkpoint says of itself."""
        about = {
            "version": VERSION,
            "images": self.images,
            "steps": self.steps,
            "seconds": self.seconds,
            "ranks": self.world.size,
            "torch": torch.__version__,
            "config": config.model_dump(mode="json"),
        }
        return {ENTRY: json.dumps(about)}

    def load(self, path: Path) -> None:
        """Take over everything from a checkpoint. Raises UserError when it is damaged or of other networks.

        The streams of a rank that did not exist then begin anew, in a way that repeats nothing.
        """
        about, flat = read_about(path), read_tensors(path)
        try:
            for name, module in self._modules().items():
                # Augmentation may be another than when the checkpoint was written.
                module.load_state_dict(_below(flat, name), strict=name != "augment")
            for name, optimizer in self.optimizers.items():
                _load_optimizer(optimizer, _below(flat, f"optimizer.{name}"))
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{path}: does not fit this run's networks ({reason})") from error
        self.networks.pl_mean.copy_(flat["pl_mean"])
        self.networks.move_mean.copy_(flat.get("move_mean", torch.zeros([])))  # checkpoints from before it have none
        streams = _below(flat, "stream")
        self.common.load_state_dict({name: value for name, value in streams.items() if "." not in name})
        self._load_own_streams(_below(streams, str(self.world.rank)), about["images"])
        self.statistics.load_state_dict(_below(flat, "statistics"), self.world)
        self.images, self.steps, self.seconds = about["images"], about["steps"], about["seconds"]

    def _load_own_streams(self, saved: dict[str, Tensor], images: int) -> None:
        if not saved:
            self.streams = RandomStreams(self.common.seed, self.device, f"{self.world.rank} from {images}")
        self.streams.load_state_dict(saved)

    def _modules(self) -> dict[str, nn.Module]:
        modules = {"G": self.networks.G, "D": self.networks.D, "G_ema": self.G_ema}
        return modules if self.networks.augment is None else {**modules, "augment": self.networks.augment}


def _take_weights(path: str, G: nn.Module, G_ema: nn.Module, D: nn.Module) -> None:
    snapshot = open_snapshot(path)
    copy_matching(snapshot.generator("G"), G)
    copy_matching(snapshot.generator("G_ema"), G_ema)
    copy_matching(snapshot.discriminator(), D)


def copy_matching(source: nn.Module, target: nn.Module) -> list[str]:
    """Copy the tensors whose names and shapes agree; returns the names of `target` that got none."""
    available = source.state_dict()
    missing = []
    with torch.no_grad():
        for name, tensor in target.state_dict().items():
            if name in available and available[name].shape == tensor.shape:
                tensor.copy_(available[name])
            else:
                missing.append(name)
    return missing


def _adam(network: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    lr, betas = config.corrected()
    return torch.optim.Adam(network.parameters(), lr=lr, betas=betas, eps=config.eps, fused=True)


def _load_optimizer(optimizer: torch.optim.Optimizer, flat: dict[str, Tensor]) -> None:
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        number, slot = key.split(".")
        slots.setdefault(int(number), {})[slot] = value
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
    # The fused step walks parameters and moments in memory order, so their strides have to agree.
    for parameter, moments in optimizer.state.items():
        for slot, value in moments.items():
            if value.shape == parameter.shape and value.ndim > 0:
                moments[slot] = torch.empty_like(parameter).copy_(value)


def _below(flat: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = name + "."
    return {key.removeprefix(prefix): value for key, value in flat.items() if key.startswith(prefix)}
