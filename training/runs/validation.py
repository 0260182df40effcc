"""The one way in which snapshots and checkpoints are opened: everything that they say is checked before it is used.

First the header against the file's size and the checksums (torch_utils/tensor_files.py), then the description in the
metadata, then the tensors' names, shapes and types against what the configuration asks for, then the numbers. Nothing
is built or allocated by what a file says before that.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from dnnlib.errors import REASON, UserError, in_one_line
from dnnlib.json_files import parse_json
from dnnlib.words import counted
from torch_utils.budget import ElementBudget
from torch_utils.tensor_files import TensorFile, TensorKind, UnreadableFile, open_tensors
from training.config import DiscriminatorConfig, GeneratorConfig, MappingConfig, RunConfig
from training.networks.backbones import make_discriminator, make_generator

SNAPSHOT, CHECKPOINT = "steergan", "steergan-checkpoint"  # entries of the metadata, JSON texts
VERSIONS = {SNAPSHOT: 1, CHECKPOINT: 2}
NAMES = {SNAPSHOT: "snapshot", CHECKPOINT: "checkpoint"}

MAKERS: dict[str, Callable[..., Any]] = {"G": make_generator, "G_ema": make_generator, "D": make_discriminator}
SPARE_ELEMENTS = 1 << 20  # what constructors make besides weights
LARGEST_SIDE = 1 << 16  # pixels
MOST_CENTERS = 1 << 12  # of a layout

Counter = Annotated[int, Field(ge=0, lt=2**53, strict=True)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False, lt=1e15)]


class _About(BaseModel):
    """What both kinds of files say of themselves; `config` is validated when it is used."""

    model_config = ConfigDict(extra="ignore")

    version: Counter
    config: dict[str, Any] = {}


class SnapshotAbout(_About):
    kimg: Amount  # thousands of images shown
    half: bool = False  # weights are stored as float16 and become float32 (training/runs/shipped.py)


class CheckpointAbout(_About):
    """`seconds`: what the run has spent, by part."""

    images: Counter
    steps: Counter | None = None
    seconds: dict[str, Amount] = {}
    ranks: Counter = 1


ABOUTS: dict[str, type[_About]] = {SNAPSHOT: SnapshotAbout, CHECKPOINT: CheckpointAbout}


@dataclass(frozen=True)
class Stored:
    """An opened snapshot or checkpoint: its description `about` (a dict that has been checked) and its tensors."""

    entry: str  # SNAPSHOT or CHECKPOINT
    about: dict[str, Any]
    file: TensorFile

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def kimg(self) -> float:
        """Thousands of images shown."""
        return self.about["kimg"] if self.entry == SNAPSHOT else self.about["images"] / 1000

    def config(self) -> RunConfig:
        """The configuration in the file. Raises UserError when this version does not understand it."""
        try:
            return RunConfig.model_validate(self.about.get("config"))
        except ValidationError as error:
            raise UserError(f"{self.path}: its configuration is not understood: {first_error(error)}") from error

    def network(self, config: RunConfig, name: str) -> Any:
        """G, G_ema or D with its weights, on the CPU, in training mode.

        Raises UserError when they do not fit `config`, are damaged, or are not finite.
        """
        what, prefix = f"{self.path}: the weights of {name}", name + "."
        kinds = below(self.file.kinds, name)
        if self.is_half:
            self._check_there(name, kinds)
            kinds = {key: kind._replace(dtype=_widened(kind.dtype)) for key, kind in kinds.items()}
        check_limits(section_of(config, name), len(kinds), what)
        network = build(name, config, elements_of(kinds), what)
        check_kinds(kinds, kinds_of(network.state_dict()), what)
        weights = below(self.file.read(key for key in self.file.kinds if key.startswith(prefix)), name)
        check_finite(weights, what)
        network.load_state_dict(weights)  # copies, into float32
        return network

    @property
    def is_half(self) -> bool:
        """Whether its weights are float16, and become float32 when a network is made of them."""
        return self.entry == SNAPSHOT and self.about.get("half", False)

    def _check_there(self, name: str, kinds: Mapping[str, TensorKind]) -> None:
        if not kinds:
            there = sorted({key.partition(".")[0] for key in self.file.kinds})
            raise UserError(f"{self.path}: a model to use, without {name}; it holds {', '.join(there)}")


def _widened(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype is torch.float16 else dtype


def open_stored(path: str | Path, entries: Iterable[str] = (CHECKPOINT, SNAPSHOT)) -> Stored:
    """Open a file of one of these kinds. Raises UserError, a line that begins with the path, unless it is sound."""
    entries = list(entries)
    wanted = NAMES[entries[-1]]
    try:
        file = open_tensors(path)
    except UnreadableFile as error:
        raise UnreadableFile(str(error).replace(": not readable, ", f": not a readable {wanted}, ", 1)) from error
    entry = next((entry for entry in entries if entry in file.metadata), None)
    if entry is None:
        what = "a checkpoint" if CHECKPOINT in file.metadata else f"no '{entries[-1]}' entry in its metadata"
        raise UserError(f"{path}: not a {wanted} of this project ({what})")
    return Stored(entry, _read_about(file, entry), file)


def _read_about(file: TensorFile, entry: str) -> dict[str, Any]:
    path, name = file.path, NAMES[entry]
    try:
        about = parse_json(file.metadata[entry], path)
        version = _About.model_validate(about).version
        if version > VERSIONS[entry] or (entry == CHECKPOINT and version != VERSIONS[entry]):
            raise _other_version(path, entry, version)
        ABOUTS[entry].model_validate(about)
    except ValidationError as error:
        raise UserError(
            f"{path}: damaged {name}: its '{entry}' metadata is not understood ({first_error(error)})"
        ) from error
    except (UnreadableFile, _OtherVersion):
        raise
    except UserError as error:
        raise UserError(f"{path}: damaged {name}: its '{entry}' metadata is not JSON ({error})") from error
    return about


class _OtherVersion(UserError):
    pass


def _other_version(path: Path, entry: str, version: int) -> UserError:
    if entry == CHECKPOINT:
        return _OtherVersion(f"{path}: checkpoint version {version}, but this program reads {VERSIONS[entry]}")
    return _OtherVersion(f"{path}: snapshot version {version} is newer than this program; update it")


# --- checks -----------------------------------------------------------------------------------------------------


def check_limits(section: GeneratorConfig | DiscriminatorConfig, tensors: int, what: str) -> None:
    """Raises UserError when a network asks for what shapes do not show, or for more layers than there are `tensors`."""
    encoding = getattr(section, "encoding", None)
    bounds = {
        "img_resolution": (section.img_resolution, LARGEST_SIDE),
        "mapping.num_layers": (section.mapping.num_layers, max(tensors, MappingConfig().num_layers)),
        "encoding.counts": (sum(encoding.counts) if encoding else 0, MOST_CENTERS),
        "encoding.dilation": (encoding.dilation if encoding else 0, section.img_resolution),
    }
    for key, (value, most) in bounds.items():
        if value > most:
            raise UserError(f"{what} do not fit its configuration ({key} is {value}, at most {most})")


def build(name: str, config: RunConfig, elements: int, what: str) -> Any:
    """G, G_ema or D with random weights, of about `elements` numbers at most.

    Leaves the global random stream alone. Raises UserError when `config` asks for more, or makes no network.
    """
    try:
        with torch.random.fork_rng(devices=[]), ElementBudget(elements + SPARE_ELEMENTS):
            return MAKERS[name](section_of(config, name))
    except (RuntimeError, TypeError, ValueError, ArithmeticError) as error:
        raise UserError(f"{what} do not fit its configuration ({in_one_line(error, REASON)})") from error


def section_of(config: RunConfig, name: str) -> GeneratorConfig | DiscriminatorConfig:
    """What a configuration says of G, G_ema or D."""
    return config.discriminator if name == "D" else config.generator


def elements_of(kinds: Mapping[str, TensorKind]) -> int:
    """How many numbers there are in all tensors together."""
    return sum(math.prod(kind.shape) for kind in kinds.values())


def check_kinds(found: Mapping[str, TensorKind], expected: Mapping[str, TensorKind], what: str) -> None:
    """Raises UserError, naming the first difference, unless names, types and shapes agree."""
    missing = [f"{name} is missing" for name in expected if name not in found]
    excess = [f"{name} is not part of it" for name in found if name not in expected]
    other = [
        f"{name} is {found[name]}, not {kind}" for name, kind in expected.items() if found.get(name, kind) != kind
    ]
    wrong = other + missing + excess
    if wrong:
        more = f", and {len(wrong) - 1} other tensors differ" if len(wrong) > 1 else ""
        raise UserError(f"{what} do not fit its configuration ({in_one_line(wrong[0], REASON)}{more})")


def check_finite(tensors: Mapping[str, Tensor], what: str) -> None:
    """Raises UserError when there is a NaN or Inf."""
    wrong = [name for name, value in tensors.items() if value.is_floating_point() and not is_finite(value)]
    if wrong:
        first = in_one_line(wrong[0], REASON)
        raise UserError(f"{what} are not finite numbers (NaN or Inf in {counted(len(wrong), 'tensor')}, first {first})")


def is_finite(tensor: Tensor) -> bool:
    """Whether there is no NaN and no Inf, without a mask as large as the tensor."""
    return tensor.numel() == 0 or all(bool(end.isfinite()) for end in torch.aminmax(tensor.detach()))


def kinds_of(tensors: Mapping[str, Tensor]) -> dict[str, TensorKind]:
    """As in a file's header."""
    return {name: TensorKind(value.dtype, tuple(value.shape)) for name, value in tensors.items()}


def below(flat: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Entries whose names begin with `name` and a dot, without those."""
    prefix = name + "."
    return {key.removeprefix(prefix): value for key, value in flat.items() if key.startswith(prefix)}


# --- words ------------------------------------------------------------------------------------------------------


def first_error(error: ValidationError) -> str:
    """The first complaint of a ValidationError in one line: 'loss.r1_gamma: Input should be ...'."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    return in_one_line(f"{where}: {message}" if where else message, REASON)
