"""Everything that must survive a crash, and its way into a checkpoint file and back."""

import copy
import itertools
import json
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from dnnlib.errors import UserError
from torch_utils.budget import ElementBudget, OverBudget
from torch_utils.distributed import World
from torch_utils.randomness import RandomStreams
from torch_utils.stats import RunningStatistics
from training.augment.pipeline import make_pipe
from training.config import OptimizerConfig, RunConfig
from training.losses.phases import Networks
from training.networks.backbones import (
    DiscriminatorNetwork,
    GeneratorNetwork,
    Module,
    make_discriminator,
    make_generator,
)
from training.networks.generator import set_memory_format
from training.networks.spatial_encoding import is_encoding
from training.runs import resume_option
from training.runs.checkpoint import ENTRY, VERSION
from training.runs.restoring import fits_device, read_checkpoint
from training.runs.transfer import take_weights
from training.runs.validation import below


@dataclass
class TrainingState:
    """The networks, their optimizers, the random streams, the statistics since the last report, and the counters.

    `common` are the random streams that all ranks draw alike, and share out; `streams` are this rank's own. `images`
    counts the real images shown to D, `seconds` what the run has spent so far, by part (see RunLog). `remarks`: what
    was found and done while it was made or loaded, in lines for the log.
    """

    networks: Networks
    G_ema: GeneratorNetwork
    optimizers: dict[str, torch.optim.Optimizer]
    common: RandomStreams
    streams: RandomStreams
    world: World = field(default_factory=World)
    statistics: RunningStatistics = field(default_factory=RunningStatistics)
    images: int = 0
    steps: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    compiled_D: DiscriminatorNetwork | None = None  # shares its parameters with networks.D

    @staticmethod
    def create(config: RunConfig, world: World, within: int | None = None) -> "TrainingState":
        """Fresh weights from config.seed, or those of config.resume: a snapshot, where names and shapes agree.

        within: for a state that is to be loaded; its networks have so many numbers at most, and config.resume is not
        looked at. Raises UserError when they are more.
        """
        G, D = _fresh_networks(config, within)
        G_ema, remarks = copy.deepcopy(G).eval().requires_grad_(False), []
        if within is None and config.resume and resume_option.source_kind(config.resume) is resume_option.Kind.WEIGHTS:
            remarks = take_weights(config.resume, G, G_ema, D)
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
        compiled = None if mode == "no" else cast(DiscriminatorNetwork, torch.compile(D, mode=mode, dynamic=False))
        return TrainingState(networks, G_ema, optimizers, common, own, world, remarks=remarks, compiled_D=compiled)

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
        # The first rank has used the most streams; one that joined later may not have used all of them yet.
        for name in self.world.share(sorted(self.streams.state_dict())):
            everyone = self.world.gather_rows(self.streams[name].get_state()[None].to(self.device)).cpu()
            flat |= {f"stream.{rank}.{name}": each for rank, each in enumerate(everyone)}
        self.statistics.collect(self.world)
        return flat | {f"statistics.{name}": value for name, value in self.statistics.state_dict().items()}

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
        saved = read_checkpoint(path, self._modules(), self.optimizers)
        about, flat = saved.about, saved.tensors
        for name, module in self._modules().items():
            # Augmentation may be another than when the checkpoint was written.
            module.load_state_dict(saved.below(name), strict=name != "augment")
        for name, optimizer in self.optimizers.items():
            _load_optimizer(optimizer, saved.below(f"optimizer.{name}"))
        self.networks.pl_mean.copy_(flat["pl_mean"])
        self.networks.move_mean.copy_(flat.get("move_mean", torch.zeros([])))  # checkpoints from before it have none
        self._load_streams(saved.below("stream"), about["images"])
        self.statistics.load_state_dict(saved.below("statistics"), self.world)
        self.images, self.steps, self.seconds = about["images"], about["steps"], about.get("seconds", {})

    def _load_streams(self, saved: dict[str, Tensor], images: int) -> None:
        """Those of another kind of device begin anew, too."""
        common = {name: value for name, value in saved.items() if "." not in name}
        own = below(saved, str(self.world.rank))
        if not fits_device(saved, self.device):
            common, own = {}, {}
            self.common = RandomStreams(self.common.seed, self.device, f"all from {images}")
            self.remarks.append("the checkpoint is from another kind of device: random streams begin anew")
        if not own:
            self.streams = RandomStreams(self.common.seed, self.device, f"{self.world.rank} from {images}")
        self.common.load_state_dict(common)
        self.streams.load_state_dict(own)

    def _modules(self) -> dict[str, Module]:
        modules: dict[str, Module] = {"G": self.networks.G, "D": self.networks.D, "G_ema": self.G_ema}
        return modules if self.networks.augment is None else {**modules, "augment": self.networks.augment}


def _fresh_networks(config: RunConfig, within: int | None) -> tuple[GeneratorNetwork, DiscriminatorNetwork]:
    """G and D from config.seed; of at most `within` numbers."""
    try:
        with torch.random.fork_rng(devices=[]), nullcontext() if within is None else ElementBudget(within):
            torch.manual_seed(config.seed)
            return make_generator(config.generator), make_discriminator(config.discriminator)
    except OverBudget as error:
        raise UserError("config.json asks for larger networks than the checkpoints hold; restore it") from error


def _adam(network: Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    lr, betas = config.corrected()
    groups = _groups(network, lr, config.encoding_lr)
    for group in groups:
        group["initial_lr"] = group["lr"]
    return torch.optim.Adam(groups, lr=lr, betas=betas, eps=config.eps, fused=True)


def _groups(network: Module, lr: float, encoding: float) -> list[dict[str, object]]:
    """Parameters in the network's order, which checkpoints number them by; where the encoding learns at a speed of its
    own, each run of such parameters, or of others, is a group."""
    if encoding == 1:
        return [{"params": list(network.parameters()), "lr": lr}]
    runs = itertools.groupby(network.named_parameters(), lambda named: is_encoding(named[0]))
    return [{"params": [p for _, p in run], "lr": lr * encoding if ours else lr} for ours, run in runs]


def _load_optimizer(optimizer: torch.optim.Optimizer, flat: dict[str, Tensor]) -> None:
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        number, slot = key.split(".", 1)
        slots.setdefault(int(number), {})[slot] = value
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
    # The fused step walks parameters and moments in memory order, so their strides have to agree.
    for parameter, moments in optimizer.state.items():
        for slot, value in moments.items():
            if value.shape == parameter.shape and value.ndim > 0:
                moments[slot] = torch.empty_like(parameter).copy_(value)
