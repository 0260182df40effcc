"""Files of fitted surrogate gradient fields: safetensors with metadata {"steergan-gradient-field": JSON}.

The file has the mapping's weights and the scales of latents and conditions; the metadata says of which model and
condition (in the words of --condition) it is. Loading one runs no code.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from dnnlib.errors import UserError
from editing.latent.auxiliary import AuxiliaryMapping, MappingOptions
from editing.latent.interface import Subject
from editing.latent.sgf import Scale, Sgf, SgfOptions
from editing.latent.space import Space
from torch_utils.tensor_files import open_tensors, write_tensors
from training.latent.directions import FIELD, metadata_of

FORMAT = FIELD
VERSION = 1
MOST = 4096  # of features, conditions and numbers of a latent
MOST_LAYERS = 64


@dataclass(frozen=True)
class About:
    """What a field is of. names: of the condition's numbers. conditions: its words. layers: as edits go.

    network: the name of the model, for people.
    """

    names: tuple[str, ...]
    conditions: tuple[str, ...]
    space: Space
    layers: tuple[int, int] | None
    network: str


@dataclass(frozen=True)
class SavedField:
    """A field without its subject."""

    about: About
    mapping: AuxiliaryMapping
    latents: Scale
    conditions: Scale
    path: str

    def of(self, subject: Subject, width: int, options: SgfOptions | None = None) -> Sgf:
        """The method for a subject with latents of `width` numbers. Raises UserError when it was fitted to another."""
        if self.latents.mean.shape[0] != width:
            raise UserError(
                f"{self.path}: a field of latents of {self.latents.mean.shape[0]} numbers; here they have {width}"
            )
        if subject.names != self.about.names:
            raise UserError(f"{self.path}: a field of {', '.join(self.about.names)}, not of {', '.join(subject.names)}")
        try:
            return Sgf(subject, self.mapping, self.latents, self.conditions, options)
        except ValueError as error:
            raise UserError(f"{self.path}: {error}") from error


def save_field(path: str | Path, field: Sgf, about: About) -> Path:
    """Write a file, atomically; returns the path. Raises OSError as any writing does."""
    tensors = {f"mapping.{name}": value for name, value in field.mapping.state_dict().items()}
    for name, scale in (("latents", field.latents), ("conditions", field.conditions)):
        tensors |= {f"{name}.mean": scale.mean, f"{name}.deviation": scale.deviation}
    plain = {name: value.detach().cpu().float().contiguous() for name, value in tensors.items()}
    said = {"version": VERSION, **asdict(about), "mapping": asdict(field.mapping.options)}
    write_tensors(path, plain, {FORMAT: json.dumps(said)})
    return Path(path)


def is_field(path: str | Path) -> bool:
    """Whether a file is a fitted field. Raises UserError when it cannot be read."""
    return FORMAT in open_tensors(path).metadata


def load_field(path: str | Path, device: str | torch.device = "cpu") -> SavedField:
    """Read a file. Raises UserError, one line, when it cannot be read, is damaged or something else."""
    file = open_tensors(path)
    said = metadata_of(file, FORMAT, VERSION, "fitted gradient field; make one with edit.py directions --method=sgf")
    about, options = _about(said, path), _options(said.get("mapping"), path)
    shape = file.kinds["latents.mean"].shape if "latents.mean" in file.kinds else ()
    if len(shape) != 1 or not 0 < shape[0] <= MOST or not 0 < len(about.names) <= MOST:
        raise UserError(f"{path}: damaged, it does not say how many numbers latents and conditions have")
    with torch.random.fork_rng(devices=[]):  # a new mapping draws weights, although they are replaced at once
        mapping = AuxiliaryMapping(shape[0], len(about.names), options).settle()
    wanted = {f"mapping.{name}": tuple(value.shape) for name, value in mapping.state_dict().items()}
    wanted |= {"latents.mean": shape, "latents.deviation": ()}
    wanted |= {f"conditions.{name}": (len(about.names),) for name in ("mean", "deviation")}
    if {name: kind.shape for name, kind in file.kinds.items()} != wanted:
        raise UserError(f"{path}: damaged, its tensors are not those of the mapping that it names")
    tensors = {name: value.float().to(device) for name, value in file.read().items()}
    if not all(value.isfinite().all() for value in tensors.values()):
        raise UserError(f"{path}: damaged, some of its numbers are not finite")
    mapping.load_state_dict(
        {name.removeprefix("mapping."): v for name, v in tensors.items() if name.startswith("mapping.")}
    )
    return SavedField(
        about, mapping.to(device), _scale(tensors, "latents", path), _scale(tensors, "conditions", path), str(path)
    )


def _scale(tensors: Mapping[str, Tensor], name: str, path: str | Path) -> Scale:
    scale = Scale(tensors[f"{name}.mean"], tensors[f"{name}.deviation"])
    if not (scale.deviation > 0).all():
        raise UserError(f"{path}: damaged, deviations of {name} are not all positive")
    return scale


def _about(said: Mapping[str, Any], path: str | Path) -> About:
    names, conditions, layers = said.get("names"), said.get("conditions"), said.get("layers")
    lists = all(isinstance(each, list) and all(isinstance(t, str) for t in each) for each in (names, conditions))
    whole = layers is None or (isinstance(layers, list) and len(layers) == 2 and all(type(n) is int for n in layers))
    if not lists or not whole or said.get("space") not in get_args(Space) or not isinstance(said.get("network"), str):
        raise UserError(f"{path}: damaged, what its metadata says of the field is not understood")
    span = None if layers is None else (layers[0], layers[1])
    return About(tuple(said["names"]), tuple(said["conditions"]), said["space"], span, said["network"])


def _options(said: Any, path: str | Path) -> MappingOptions:
    """Those that the mapping's shape depends on."""
    known = {each.name for each in fields(MappingOptions)}
    try:
        given = {name: said[name] for name in ("layers", "features", "contraction")}
        if not set(said) <= known or type(given["layers"]) is not int or type(given["features"]) is not int:
            raise ValueError("unknown options")
        if not (0 < given["layers"] <= MOST_LAYERS and 0 < given["features"] <= MOST):
            raise ValueError("a mapping of another size")
        return replace(MappingOptions(), **given)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: damaged, the mapping that it names is none") from error
