"""Straight directions in the space of styles W: a file of them, and steps along them.

    directions = load_directions("sefa.safetensors").fitted(model.G.w_shape)
    images = model.images(ws=directions.moved(model.styles([7]), 0, 2.0), layout=model.layout([7]))

A file is safetensors: "vectors" [k, w_dim], unit vectors, "deviations" [k], and metadata {"steergan-directions": JSON}.
A strength of 1 is one standard deviation of w along the direction, so that strengths of different directions compare.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import click
import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.json_files import parse_json
from dnnlib.parsing import floats, nearest, shown, whole
from torch_utils.tensor_files import TensorFile, open_tensors, write_tensors

Part = Literal["all", "objects", "background"]  # which codes of an image, where it has several

FORMAT = "steergan-directions"  # the entry of the metadata
FIELD = "steergan-gradient-field"  # that of a fitted field (editing/latent/field_files.py)
VERSION = 1
MOST = 4096  # directions of a file, and numbers of each
STRONGEST = 1e4  # a step may be, either way


@dataclass(frozen=True)
class Directions:
    """Directions that one method found for one model.

    vectors: [k, w_dim], float32, of length 1. deviations: [k], positive, of w along each. names: of the k directions.
    layers: (first, last) of num_ws, both included; None: all. part: which codes of an image move, where it has several.
    network: the name of the model, for people.
    """

    vectors: Tensor
    deviations: Tensor
    method: str
    names: tuple[str, ...]
    layers: tuple[int, int] | None = None
    part: Part = "all"
    network: str = ""

    def __len__(self) -> int:
        return len(self.vectors)

    def index(self, key: str, where: str = "directions") -> int:
        """The number of a direction, given that or its name. Raises UserError, naming `where`, when there is none."""
        if key in self.names:
            return self.names.index(key)
        if not (key.isascii() and key.isdigit()):
            raise UserError(f"{where}: no direction '{shown(key)}'{nearest(key, self.names)}")
        return whole(key, len(self), where)

    def moved(self, ws: Tensor, index: int, strength: float | Tensor) -> Tensor:
        """A copy of ws [N, num_ws, (codes,) w_dim], moved along one direction by a number, or by [N] numbers."""
        step = (self.vectors[index] * self.deviations[index]).to(ws)
        if isinstance(strength, Tensor):
            strength = strength.to(ws).reshape(-1, *[1] * (ws.ndim - 1))
        first, last = self.layers or (0, ws.shape[1] - 1)
        ws = ws.clone()
        chosen = ws[:, first : last + 1]
        if self.part != "all":
            chosen = chosen[:, :, :-1] if self.part == "objects" else chosen[:, :, -1:]
        chosen += strength * step
        return ws

    def fitted(self, w_shape: Sequence[int], where: str = "directions") -> "Directions":
        """Itself. Raises UserError, naming `where`, unless it is for a model with styles [N, *w_shape]."""
        if self.vectors.shape[1] != w_shape[-1]:
            raise UserError(
                f"{where}: directions of {self.vectors.shape[1]} numbers, but this model's styles have {w_shape[-1]}; "
                "give those that were found for it"
            )
        if self.layers is not None and self.layers[1] >= w_shape[0]:
            raise UserError(f"{where}: layers {_words(self.layers)}, but this model has 0-{w_shape[0] - 1}")
        if self.part != "all" and len(w_shape) == 2:
            raise UserError(f"{where}: directions of {self.part}, but in this model all of an image has one style")
        return self


@dataclass(frozen=True)
class DirectionStep:
    """A step along direction `key`, its number or name, of a file."""

    path: str
    key: str
    strength: float

    def __str__(self) -> str:
        return f"--direction {shown(self.path)}:{shown(self.key)}:{self.strength:g}"


# ---- on the command line


def parse_steps(texts: Sequence[str]) -> list[DirectionStep]:
    """Steps from 'FILE:k:strength'. Raises UserError for any other form."""
    return [_parse_step(text) for text in texts]


def _parse_step(text: str) -> DirectionStep:
    parts = text.rsplit(":", 2)
    if len(parts) != 3 or not all(parts):
        raise UserError(f"--direction '{shown(text)}' is not of the form FILE:k:strength, as sefa.safetensors:0:-2")
    (strength,) = floats(parts[2], 1, f"--direction '{shown(text)}': the strength")
    if abs(strength) > STRONGEST:
        raise UserError(f"--direction '{shown(text)}': the strength must be from {-STRONGEST:g} to {STRONGEST:g}")
    return DirectionStep(os.path.expanduser(parts[0]), parts[1], strength)


def moved_along(ws: Tensor, steps: Sequence[DirectionStep], network: str) -> Tensor:
    """ws [N, num_ws, (codes,) w_dim] of a model called `network` after all steps.

    Raises UserError when a file is none, or is of a model of another form.
    """
    files = {path: load_directions(path).fitted(ws.shape[1:], path) for path in {step.path: None for step in steps}}
    for path, directions in files.items():
        say_origin(path, directions.network, network)
    for step in steps:
        directions = files[step.path]
        ws = directions.moved(ws, directions.index(step.key, str(step)), step.strength)
    return ws


# ---- files


def save_directions(path: str | Path, directions: Directions) -> Path:
    """Write a file, atomically; returns the path. Raises OSError as any writing does."""
    layers = None if directions.layers is None else list(directions.layers)
    about = {"version": VERSION, "method": directions.method, "names": list(directions.names), "layers": layers}
    about |= {"part": directions.part, "network": directions.network}
    tensors = {"vectors": directions.vectors, "deviations": directions.deviations}
    plain = {name: tensor.detach().cpu().float().contiguous() for name, tensor in tensors.items()}
    write_tensors(path, plain, {FORMAT: json.dumps(about)})
    return Path(path)


def load_directions(path: str | Path) -> Directions:
    """Read a file of directions. Raises UserError, one line, when it cannot be read, is damaged or something else."""
    file = open_tensors(path)
    is_field = FIELD in file.metadata
    instead = ", but a field, for edit.py towards --method" if is_field else "; make one with edit.py directions"
    about = metadata_of(file, FORMAT, VERSION, f"file of directions{instead}")
    kinds = {name: (kind.dtype, len(kind.shape)) for name, kind in file.kinds.items()}
    if kinds != {"vectors": (torch.float32, 2), "deviations": (torch.float32, 1)}:
        raise UserError(f"{path}: damaged, its tensors are not vectors [k, w_dim] and deviations [k] in float32")
    if max(file.kinds["vectors"].shape) > MOST or 0 in file.kinds["vectors"].shape:
        raise UserError(f"{path}: {list(file.kinds['vectors'].shape)} are no directions; 1 to {MOST} are")
    tensors = file.read()
    found = Directions(vectors=tensors["vectors"], deviations=tensors["deviations"], **_checked(about, path))
    _check_numbers(found, path)
    return found


def metadata_of(file: TensorFile, name: str, version: int, what: str) -> dict[str, Any]:
    """The JSON object in entry `name` of a file's metadata. Raises UserError, "not a `what`", without it."""
    if name not in file.metadata:
        raise UserError(f"{file.path}: not a {what}")
    about = parse_json(file.metadata[name], file.path)
    if not isinstance(about, dict):
        raise UserError(f"{file.path}: damaged, its metadata is no object")
    if about.get("version") != version:
        raise UserError(
            f"{file.path}: version {about.get('version')!r:.20} of such files; this reads version {version}"
        )
    return about


def _checked(about: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
    """The fields of Directions that are in the metadata."""
    method, names, layers, part, network = (about.get(key) for key in ("method", "names", "layers", "part", "network"))
    texts = [method, network, *(names if isinstance(names, list) else [None])]
    if not all(isinstance(text, str) and len(text) <= 200 for text in texts) or part not in get_args(Part):
        raise UserError(f"{path}: damaged, what its metadata says of the directions is not understood")
    if layers is not None and not _is_range(layers):
        raise UserError(f"{path}: damaged, its layers {str(layers)[:40]} are no range")
    span = None if layers is None else (layers[0], layers[1])
    return {"method": method, "names": tuple(names or ()), "layers": span, "part": part, "network": network}


def _is_range(layers: Any) -> bool:
    whole_numbers = isinstance(layers, list) and len(layers) == 2 and all(type(each) is int for each in layers)
    return whole_numbers and 0 <= layers[0] <= layers[1]


def _check_numbers(found: Directions, path: str | Path) -> None:
    if not len(found) == len(found.deviations) == len(found.names):
        counts = f"{len(found)} vectors, {len(found.deviations)} deviations and {len(found.names)} names"
        raise UserError(f"{path}: damaged, it has {counts}")
    lengths = found.vectors.double().norm(dim=1)
    if not found.vectors.isfinite().all() or not torch.allclose(lengths, torch.ones_like(lengths), atol=1e-3):
        raise UserError(f"{path}: damaged, its vectors are not of length 1")
    if not (found.deviations.isfinite() & (found.deviations > 0)).all():
        raise UserError(f"{path}: damaged, its deviations are not all positive numbers")


def say_origin(path: str | Path, network: str, here: str) -> None:
    """Tell people, on standard error, of a file that was made for a model of another name than the one at hand.

    Models have such directions in common where one went on learning from the other, and as a rule not else.
    """
    if network not in ("", here):
        click.echo(f"{path} was made for {network}; in {here} it may do something else, or nothing", err=True)


def _words(layers: tuple[int, int]) -> str:
    return f"{layers[0]}-{layers[1]}"
