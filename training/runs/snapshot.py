"""Network snapshots: the weights of G, G_ema and D with their configuration, in one safetensors file.

Loading one runs no code from it. Tensors are named "G_ema.mapping.layers.0.weight" and so on; the file's metadata
holds "steergan" (a JSON text: format version, images shown in thousands, the whole RunConfig).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from dnnlib.errors import UserError
from torch_utils.tensor_files import write_tensors
from training.config import RunConfig, Section
from training.networks.backbones import make_discriminator, make_generator
from training.networks.discriminator import Discriminator
from training.networks.generator import Generator

VERSION = 1
NETWORKS = ("G", "G_ema", "D")


@dataclass(frozen=True)
class Snapshot:
    """An opened snapshot file: what it says of itself; networks are read when asked for."""

    path: Path
    config: RunConfig
    kimg: float

    def generator(self, name: str = "G_ema") -> Generator:
        """"G_ema" (for pictures) or "G" (the one in training), on the CPU, in evaluation mode."""
        return self._fill(make_generator, self.config.generator, name)

    def discriminator(self) -> Discriminator:
        """D on the CPU, in evaluation mode."""
        return self._fill(make_discriminator, self.config.discriminator, "D")

    def _fill(self, make: Callable[[Any], nn.Module], config: Section, name: str) -> nn.Module:
        with torch.random.fork_rng(devices=[]):  # the first weights are drawn in vain
            network = make(config)
        prefix = name + "."
        with _open(self.path) as file:
            state = {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{self.path}: the weights of {name} do not fit its configuration ({reason})") from error
        return network.eval().requires_grad_(False)


def snapshot_name(kimg: float) -> str:
    """File name of a snapshot after `kimg` thousand images."""
    return f"network-snapshot-{round(kimg):06d}.safetensors"


def snapshot_metadata(config: RunConfig, kimg: float) -> dict[str, str]:
    """What a snapshot says of itself."""
    about = {"version": VERSION, "kimg": kimg, "config": config.model_dump(mode="json")}
    names = {"class_names": json.dumps(config.data.class_names)} if config.data.class_names else {}
    return {"steergan": json.dumps(about), **names}


def network_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those that a snapshot holds, of all the tensors of a training state."""
    return {name: tensor for name, tensor in tensors.items() if name.split(".")[0] in NETWORKS}


def save_snapshot(path: str | Path, config: RunConfig, kimg: float, networks: dict[str, nn.Module]) -> None:
    """Write {"G": ..., "G_ema": ..., "D": ...} atomically."""
    tensors = {
        f"{name}.{key}": tensor.detach().cpu().contiguous()
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }
    write_tensors(path, tensors, snapshot_metadata(config, kimg))


def open_snapshot(path: str | Path) -> Snapshot:
    """Open a snapshot file, or the newest one of a run directory.

    Raises UserError when there is none, or when it is damaged, of another kind or of a newer version.
    """
    path = find_snapshot(Path(path))
    with _open(path) as file:
        text = (file.metadata() or {}).get("steergan")
    if text is None:
        raise UserError(f"{path}: not a snapshot of this project (no 'steergan' entry in its metadata)")
    try:
        about = json.loads(text)
        version, kimg, settings = int(about["version"]), float(about["kimg"]), about["config"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged snapshot: its 'steergan' metadata is not understood") from error
    if version > VERSION:
        raise UserError(f"{path}: snapshot version {version} is newer than this program; update it")
    try:
        return Snapshot(path, RunConfig.model_validate(settings), kimg)
    except ValidationError as error:
        raise UserError(f"{path}: its configuration is not understood: {first_error(error)}") from error


def find_snapshot(path: Path) -> Path:
    """`path` itself, or the newest snapshot in the run directory `path`. Raises UserError when there is none."""
    if path.is_dir():
        found = sorted(path.glob("network-snapshot-*.safetensors"))
        if not found:
            raise UserError(f"{path}: no network-snapshot-*.safetensors in this directory")
        return found[-1]
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a network-snapshot-*.safetensors or a run directory")
    return path


def first_error(error: ValidationError) -> str:
    """The first complaint of a ValidationError in one line: 'loss.r1_gamma: Input should be ...'."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _open(path: Path):
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a readable snapshot, perhaps cut short ({error})") from error

