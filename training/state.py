"""Everything that must survive a crash, and its way into a checkpoint file and back."""

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dnnlib.errors import UserError
from dnnlib.files import atomic_path
from training.config import OptimizerConfig, RunConfig
from training.discriminator import Discriminator
from training.generator import Generator, set_memory_format
from training.phases import Networks
from training.randomness import Randomness
from training.snapshot import open_snapshot

KEEP = 2  # checkpoints kept in a run directory


@dataclass
class TrainingState:
    """The networks, their optimizers, the random streams and the counters of a run.

    `images` counts the real images shown to D, `seconds` the training time so far; `records` holds small values that
    others want kept, such as the best metric.
    """

    networks: Networks
    G_ema: Generator
    optimizers: dict[str, torch.optim.Optimizer]
    streams: Randomness
    images: int = 0
    steps: int = 0
    seconds: float = 0.0
    records: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def create(config: RunConfig, device: torch.device) -> "TrainingState":
        """Fresh weights from config.seed, or those of the snapshot config.resume where names and shapes agree."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            G, D = Generator(config.generator), Discriminator(config.discriminator)
        G_ema = copy.deepcopy(G).eval().requires_grad_(False)
        if config.resume is not None:
            snapshot = open_snapshot(config.resume)
            copy_matching(snapshot.generator("G"), G)
            copy_matching(snapshot.generator("G_ema"), G_ema)
            copy_matching(snapshot.discriminator(), D)
        channels_last = config.hardware.keeps_channels_last(device.type)
        for network in (G, D, G_ema):
            network.to(device)
            set_memory_format(network, channels_last)
        optimizers = {
            "G": _adam(G, config.generator_optimizer),
            "D": _adam(D, config.discriminator_optimizer),
        }
        networks = Networks(G, D, torch.zeros([], device=device))
        return TrainingState(networks, G_ema, optimizers, Randomness(config.seed, device))

    def tensors(self) -> dict[str, Tensor]:
        """All tensors of the state under flat names."""
        flat = {"pl_mean": self.networks.pl_mean}
        for name, module in self._modules().items():
            flat |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for number, slots in optimizer.state_dict()["state"].items():
                flat |= {f"optimizer.{name}.{number}.{key}": torch.as_tensor(value) for key, value in slots.items()}
        flat |= {f"stream.{name}": value for name, value in self.streams.state_dict().items()}
        return flat

    def save(self, path: Path, config: RunConfig) -> None:
        """Write a checkpoint atomically."""
        flat = {name: value.detach().cpu().contiguous().clone() for name, value in self.tensors().items()}
        about = {
            "version": 1,
            "images": self.images,
            "steps": self.steps,
            "seconds": self.seconds,
            "records": self.records,
            "config": config.model_dump(mode="json"),
        }
        with atomic_path(path) as temporary:
            save_file(flat, temporary, metadata={"steergan-checkpoint": json.dumps(about)})

    def load(self, path: Path) -> None:
        """Take over everything from a checkpoint. Raises UserError when it is damaged or of other networks."""
        about = read_about(path)
        with safe_open(path, framework="pt") as file:
            flat = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        try:
            for name, module in self._modules().items():
                module.load_state_dict(_below(flat, name))
            for name, optimizer in self.optimizers.items():
                _load_optimizer(optimizer, _below(flat, f"optimizer.{name}"))
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{path}: does not fit this run's networks ({error})") from error
        self.networks.pl_mean.copy_(flat["pl_mean"])
        self.streams.load_state_dict(_below(flat, "stream"))
        self.images, self.steps, self.seconds = about["images"], about["steps"], about["seconds"]
        self.records = about["records"]

    def _modules(self) -> dict[str, nn.Module]:
        return {"G": self.networks.G, "D": self.networks.D, "G_ema": self.G_ema}


def checkpoint_path(run_dir: Path, images: int) -> Path:
    """Where the checkpoint after `images` images goes."""
    return run_dir / f"checkpoint-{images:010d}.safetensors"


def latest_checkpoint(run_dir: Path) -> Path | None:
    """The newest checkpoint of a run directory that opens; None where there is none."""
    for path in sorted(run_dir.glob("checkpoint-*.safetensors"), reverse=True):
        try:
            read_about(path)
        except UserError:
            continue
        return path
    return None


def drop_old_checkpoints(run_dir: Path) -> None:
    """Remove all but the newest KEEP checkpoints."""
    for path in sorted(run_dir.glob("checkpoint-*.safetensors"))[:-KEEP]:
        path.unlink()


def read_about(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself (images, steps, config, ...). Raises UserError when it cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("steergan-checkpoint")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a readable checkpoint, perhaps cut short ({error})") from error
    if text is None:
        raise UserError(f"{path}: not a checkpoint of this project")
    return json.loads(text)


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
