"""A checkpoint's contents, all of them checked before any of it reaches the networks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dnnlib.errors import REASON, UserError, in_one_line
from torch_utils.tensor_files import TensorKind
from training.networks.backbones import Module
from training.runs.validation import CHECKPOINT, below, check_finite, check_kinds, kinds_of, open_stored

SCALAR = TensorKind(torch.float32, ())
STATISTICS = TensorKind(torch.float64, (5,))  # count, sum, sum of squares, lowest, minus highest
MEANS = ("pl_mean", "move_mean")
MOMENTS = ("exp_avg", "exp_avg_sq")  # of Adam, beside its "step"
STREAM_LENGTHS = (len(torch.Generator().get_state()), 16)  # bytes of a random stream's state: CPU, GPU


@dataclass(frozen=True)
class Restored:
    """`about`: what the checkpoint says of itself, with all entries; `tensors`: everything else, under flat names."""

    about: dict[str, Any]
    tensors: dict[str, Tensor]

    def below(self, name: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `name` and a dot, without those."""
        return below(self.tensors, name)


def read_checkpoint(
    path: Path, modules: Mapping[str, Module], optimizers: Mapping[str, torch.optim.Optimizer]
) -> Restored:
    """Read a whole checkpoint for these networks. "augment" among the modules may be another than when it was written.

    Raises UserError, in one line that begins with the path, when it is damaged or of other networks.
    """
    stored = open_stored(path, [CHECKPOINT])
    if stored.about.get("steps") is None:
        raise UserError(f"{path}: damaged checkpoint: its metadata has no number of steps")
    kinds = stored.file.kinds
    _check_names(path, kinds)
    for name, module in modules.items():
        found, expected = below(kinds, name), kinds_of(module.state_dict())
        if name == "augment":
            expected = {key: kind for key, kind in expected.items() if key in found}
            found = {key: kind for key, kind in found.items() if key in expected}
        check_kinds(found, expected, f"{path}: does not fit this run's networks; the weights of {name}")
    for name, optimizer in optimizers.items():
        _check_moments(path, name, optimizer, below(kinds, f"optimizer.{name}"))
    _check_small_parts(path, kinds)
    tensors = stored.file.read()
    _check_values(path, tensors)
    return Restored(stored.about, tensors)


def fits_device(streams: Mapping[str, Tensor], device: torch.device) -> bool:
    """Whether these states of random streams are of this kind of device."""
    length = STREAM_LENGTHS[device.type != "cpu"]
    return all(len(state) == length for state in streams.values())


def _check_names(path: Path, kinds: Mapping[str, TensorKind]) -> None:
    """Raises UserError when there is a tensor that no state has."""
    networks, number = r"(G|G_ema|D|augment|statistics)\..+", "[0-9]{1,9}"
    known = re.compile(rf"{networks}|optimizer\.(G|D)\.{number}\.\w+|stream\.({number}\.)?\w+")
    other = [name for name in kinds if name not in MEANS and not known.fullmatch(name)]
    if other:
        name = in_one_line(other[0], REASON)
        raise UserError(f"{path}: damaged checkpoint: it has a tensor of an unknown name, {name}")
    if "pl_mean" not in kinds:
        raise UserError(f"{path}: damaged checkpoint: pl_mean is missing")


def _check_moments(path: Path, name: str, optimizer: torch.optim.Optimizer, found: Mapping[str, TensorKind]) -> None:
    """Each parameter has all of Adam's moments, in its own shape, or none."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    expected: dict[str, TensorKind] = {}
    for number in {int(key.split(".")[0]) for key in found}:
        if number >= len(parameters):
            raise UserError(f"{path}: does not fit this run's networks; {name} has no parameter number {number}")
        kind = TensorKind(parameters[number].dtype, tuple(parameters[number].shape))
        expected |= {f"{number}.{moment}": kind for moment in MOMENTS} | {f"{number}.step": SCALAR}
    check_kinds(found, expected, f"{path}: does not fit this run's networks; the moments of {name}")


def _check_small_parts(path: Path, kinds: Mapping[str, TensorKind]) -> None:
    """Means, random streams and statistics have their types and sizes."""
    means = {name: kinds[name] for name in MEANS if name in kinds}
    check_kinds(means, dict.fromkeys(means, SCALAR), f"{path}: damaged checkpoint: the running means")
    statistics = below(kinds, "statistics")
    check_kinds(statistics, dict.fromkeys(statistics, STATISTICS), f"{path}: damaged checkpoint: the statistics")
    for name, kind in below(kinds, "stream").items():
        if kind.dtype is not torch.uint8 or kind.shape not in [(length,) for length in STREAM_LENGTHS]:
            raise UserError(f"{path}: damaged checkpoint: the random stream {in_one_line(name, REASON)} is {kind}")


def _check_values(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Numbers that a run can go on from."""
    statistics = below(tensors, "statistics")
    learnt = {name: value for name, value in tensors.items() if not name.startswith("statistics.")}
    check_finite(learnt, f"{path}: damaged checkpoint: its tensors")
    check_finite({name: value[:3] for name, value in statistics.items()}, f"{path}: damaged checkpoint: its statistics")
    for name, value in tensors.items():
        if name.startswith("optimizer.") and name.endswith((".exp_avg_sq", ".step")) and bool((value < 0).any()):
            raise UserError(f"{path}: damaged checkpoint: {name} has numbers below 0")
    for name, state in below(tensors, "stream").items():
        _check_stream(path, name, state)


def _check_stream(path: Path, name: str, state: Tensor) -> None:
    """A generator takes the state; that of a GPU's can be tried on a GPU only."""
    if len(state) != STREAM_LENGTHS[0] and not torch.cuda.is_available():
        return
    device = "cpu" if len(state) == STREAM_LENGTHS[0] else "cuda"
    try:
        torch.Generator(device).set_state(state)
    except RuntimeError as error:
        raise UserError(f"{path}: damaged checkpoint: the random stream {name} is no state of a generator") from error
