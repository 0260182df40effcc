"""Network snapshots: the weights of G, G_ema and D with their configuration, in one safetensors file.

Loading one runs no code from it. Tensors are named "G_ema.mapping.layers.0.weight" and so on; the file's metadata
holds "steergan" (a JSON text: format version, images shown in thousands, the whole RunConfig).
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dnnlib.errors import UserError
from torch_utils.tensor_files import write_tensors
from training.config import RunConfig
from training.networks.backbones import DiscriminatorNetwork, GeneratorNetwork
from training.runs.stored import CHECKPOINT, SNAPSHOT, VERSIONS, open_stored

VERSION = VERSIONS[SNAPSHOT]
NETWORKS = ("G", "G_ema", "D")


@dataclass(frozen=True)
class Snapshot:
    """An opened snapshot file: what it says of itself; networks are read when asked for."""

    path: Path
    config: RunConfig
    kimg: float

    def generator(self, name: str = "G_ema") -> GeneratorNetwork:
        """"G_ema" (for pictures) or "G" (the one in training), on the CPU, in evaluation mode."""
        return self._network(name)

    def discriminator(self) -> DiscriminatorNetwork:
        """D on the CPU, in evaluation mode."""
        return self._network("D")

    def _network(self, name: str) -> Any:
        """Raises UserError when its weights do not fit the configuration, are damaged, or are not finite."""
        network = open_stored(self.path, (CHECKPOINT, SNAPSHOT)).network(self.config, name)
        return network.eval().requires_grad_(False)


def kimg_name(kimg: float) -> str:
    """Thousands of images as file names have them: 000125, or 000125.056 where they are not whole."""
    images = round(kimg * 1000)
    return f"{images // 1000:06d}" if images % 1000 == 0 else f"{images // 1000:06d}.{images % 1000:03d}"


def snapshot_name(kimg: float) -> str:
    """File name of a snapshot after `kimg` thousand images."""
    return f"network-snapshot-{kimg_name(kimg)}.safetensors"


def snapshots(run_dir: Path) -> dict[float, Path]:
    """{thousands of images: path} of the snapshots in a run directory, the oldest first."""
    names = {path: re.fullmatch(r"network-snapshot-(\d{1,15}(\.\d{1,6})?)", path.stem) for path in _files(run_dir)}
    return dict(sorted((float(match[1]), path) for path, match in names.items() if match))


def _files(run_dir: Path) -> list[Path]:
    return sorted(run_dir.glob("network-snapshot-*.safetensors"))


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
    """Open a snapshot file, a checkpoint in its place, or the newest snapshot of a run directory.

    Raises UserError when there is none, or when it is damaged, of another kind or of a newer version.
    """
    stored = open_stored(find_snapshot(Path(path)), (CHECKPOINT, SNAPSHOT))
    return Snapshot(stored.path, stored.config(), stored.kimg)


def find_snapshot(path: Path) -> Path:
    """`path` itself, or the newest snapshot in the run directory `path`. Raises UserError when there is none."""
    if path.is_dir():
        found = list(snapshots(path).values()) or _files(path)
        if not found:
            raise UserError(f"{path}: no network-snapshot-*.safetensors in this directory")
        return found[-1]
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a network-snapshot-*.safetensors or a run directory")
    return path


def drop_old_snapshots(run_dir: Path, keep: int | None, kimg: float, best: str | None = None) -> None:
    """Remove all but the newest `keep` snapshots up to `kimg` (None: none), that of 0 kimg and that named `best`."""
    if keep is None:
        return
    seen = [(number, path) for number, path in snapshots(run_dir).items() if 0 < number <= kimg + 0.0005]
    for _, path in seen[:-keep]:
        if path.name != best:
            path.unlink(missing_ok=True)
