"""Network snapshots: the weights of G, G_ema and D with their configuration, in one safetensors file.

Loading one runs no code from it. Tensors are named "G_ema.mapping.layers.0.weight" and so on; the file's metadata
holds "steergan" (a JSON text: format version, images shown in thousands, the whole RunConfig).
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import click
from torch import Tensor

from dnnlib.errors import UserError
from training.config import RunConfig
from training.networks.backbones import DiscriminatorNetwork, GeneratorNetwork
from training.runs.sources import needs_reader, snapshot_of
from training.runs.validation import CHECKPOINT, SNAPSHOT, VERSIONS, open_stored

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

    def networks(self) -> list[str]:
        """Which of NETWORKS it holds."""
        kinds = open_stored(self.path, (CHECKPOINT, SNAPSHOT)).file.kinds
        return [name for name in NETWORKS if any(key.startswith(name + ".") for key in kinds)]

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
    pattern = re.compile(r"network-snapshot-([0-9]{1,15}(\.[0-9]{1,6})?)")
    names = {path: pattern.fullmatch(path.stem) for path in _files(run_dir)}
    return dict(sorted((float(match[1]), path) for path, match in names.items() if match))


def _files(run_dir: Path) -> list[Path]:
    return sorted(run_dir.glob("network-snapshot-*.safetensors"))


def snapshot_metadata(config: RunConfig, kimg: float, is_half: bool = False) -> dict[str, str]:
    """What a snapshot says of itself. is_half: its weights are float16 (training/runs/shipped.py)."""
    about = {"version": VERSION, "kimg": kimg, "config": config.model_dump(mode="json")}
    if is_half:
        about["half"] = True
    names = {"class_names": json.dumps(config.data.class_names)} if config.data.class_names else {}
    return {"steergan": json.dumps(about), **names}


def network_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those that a snapshot holds, of all the tensors of a training state."""
    return {name: tensor for name, tensor in tensors.items() if name.split(".")[0] in NETWORKS}


def open_snapshot(path: str | Path) -> Snapshot:
    """Open a snapshot file, a checkpoint in its place, or the newest sound snapshot of a run directory.

    A network of another program, or on the web, is made a snapshot first (training/runs/sources.py). Raises UserError
    when there is none, or when it is damaged, of another kind or of a newer version.
    """
    stored = open_stored(find_snapshot(path), (CHECKPOINT, SNAPSHOT))
    return Snapshot(stored.path, stored.config(), stored.kimg)


def find_snapshot(path: str | Path) -> Path:
    """`path` itself, the newest sound snapshot in the run directory `path`, or what becomes of a network of others.

    Damaged ones are passed over, and said to be. Raises UserError when there is none.
    """
    if needs_reader(str(path)):
        return snapshot_of(str(path)) or Path(path)
    path = Path(path)
    if path.is_dir():
        found = list(snapshots(path).values()) or _files(path)
        if not found:
            raise UserError(f"{path}: no network-snapshot-*.safetensors in this directory")
        return _newest_sound(found)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a network-snapshot-*.safetensors or a run directory")
    return path


def _newest_sound(paths: list[Path]) -> Path:
    """The last of `paths` that can be read as a whole; those after it are named. Raises UserError when none can."""
    damaged: list[str] = []
    for path in reversed(paths):
        status = path.stat()
        objection = _objection(path, status.st_size, status.st_mtime_ns)
        if objection is None:
            for complaint in damaged:
                _say_once(f"{complaint}; taking {path.name}")
            return path
        damaged.append(objection)
    raise UserError(damaged[0])


@lru_cache(maxsize=64)
def _objection(path: Path, size: int, changed: int) -> str | None:
    """Why a snapshot cannot be used; None where it can. Reads all of the file, while its size and time stay once."""
    try:
        open_stored(path, (CHECKPOINT, SNAPSHOT)).file.check()
    except UserError as error:
        return str(error)
    return None


@lru_cache(maxsize=64)
def _say_once(text: str) -> None:
    click.echo(text, err=True)


def drop_old_snapshots(run_dir: Path, keep: int | None, kimg: float, best: str | None = None) -> None:
    """Remove all but the newest `keep` snapshots up to `kimg` (None: none), that of 0 kimg and that named `best`."""
    if keep is None:
        return
    seen = [(number, path) for number, path in snapshots(run_dir).items() if 0 < number <= kimg + 0.0005]
    for _, path in seen[:-keep]:
        if path.name != best:
            path.unlink(missing_ok=True)
