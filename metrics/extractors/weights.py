"""Weights of the feature extractors: published files, fetched and checked, or files of the user's choice."""

import os
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from dnnlib.cache import cache_folder
from dnnlib.downloads import RemoteFile, fetch, sha256_of
from dnnlib.errors import UserError
from dnnlib.parsing import nearest
from metrics.extractors.torch_files import check_torch_file

_FIDELITY = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"

PUBLISHED = {
    "inception": RemoteFile(
        "weights-inception-2015-12-05-6726825d.pth",
        _FIDELITY + "weights-inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        95_628_359,
    ),
    "vgg16": RemoteFile(
        "vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        553_433_881,
    ),
    "lpips": RemoteFile(
        "weights-vgg16-lpips.pth",
        _FIDELITY + "weights-vgg16-lpips.pth",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        7_289,
    ),
    "dinov2": RemoteFile(
        "dinov2_vitl14_pretrain.pth",
        "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
        "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
        1_217_586_395,
    ),
}


@dataclass(frozen=True)
class WeightFiles:
    """Where weights come from: `given` {name: path} goes before the published files."""

    given: dict[str, Path] = field(default_factory=dict)
    show_progress: bool = False

    def path(self, name: str) -> Path:
        """The file of weights `name`, downloaded if need be. Raises UserError when it is unavailable."""
        if name in self.given:
            return self.given[name]
        return fetch(PUBLISHED[name], cache_folder("weights"), self.show_progress)

    def load(self, name: str) -> tuple[dict[str, Tensor], str]:
        """The tensors of weights `name` by their names, and the SHA-256 of the file they are from."""
        path = self.path(name)
        return read_tensors(path), sha256_of(path)


def parse_weights(texts: Iterable[str], wanted: Iterable[str]) -> dict[str, Path]:
    """NAME=FILE, or FILE alone where only one of `wanted` it can be for, to {name: path}.

    Raises UserError when a name is unknown, a file is missing, or it is unclear whose weights a file has.
    """
    wanted, given = sorted(set(wanted)), {}
    for text in texts:
        name, _, file = text.rpartition("=")
        file = os.path.expanduser(file)
        if not name and len(wanted) != 1:
            needed = f"these metrics need those of {', '.join(wanted)}" if wanted else "these metrics need none"
            raise UserError(f"--weights {text}: whose weights are they? Write NAME=FILE; {needed}")
        name = name or wanted[0]
        if name not in PUBLISHED:
            raise UserError(f"--weights {text}: no extractor has weights '{name}'{nearest(name, PUBLISHED)}")
        if not Path(file).is_file():
            raise UserError(f"--weights {text}: there is no file {file}")
        given[name] = Path(file)
    return given


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a PyTorch file of nothing but tensors; no code in it is run.

    Raises UserError when it is neither.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except Exception as error:  # torch and zipfile raise nearly every kind when they meet a damaged file
        raise UserError(f"{path}: no file of weights, or cut short ({_first_line(error)})") from error
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise UserError(f"{path}: no file of weights: it holds other things than named tensors")
    if not all(isinstance(value, Tensor) and _is_plain(value) for value in state.values()):
        raise UserError(f"{path}: no file of weights: it holds other things than named tensors")
    return dict(state)


def _unpickled(path: Path) -> Any:
    """Of a zip, tensors are parts of the mapped file: torch before 2.13 may read beyond a part that is too small."""
    check_torch_file(path)
    return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


def _is_plain(tensor: Tensor) -> bool:
    """Dense, and with no more elements than the file has: strides of 0 would make any size of a few bytes."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


T = TypeVar("T")


def fitting(fill: Callable[[], T], name: str) -> T:
    """The value of `fill()`, which fills a network. Raises UserError when the weights are those of another network."""
    try:
        return fill()
    except RuntimeError as error:
        raise UserError(f"the weights given for '{name}' are of another network ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
