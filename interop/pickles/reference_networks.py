"""StyleGAN2-ADA's and EqGAN-SA's network pickles as networks of ours: configuration and tensors, all of them.

The configuration is read off the modules themselves (sizes of tensors, attributes of layers), not off the arguments
that they were made with, whose defaults differ from program to program. Then every tensor has to find its place among
those that the configuration asks for, and no place may stay empty. What follows from the configuration (the filters
that enlarge and reduce) is compared with it.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from dnnlib.errors import REASON, UserError, in_one_line
from dnnlib.json_files import open_regular
from dnnlib.pickle_interpreter import Dictionary, NotPlain, load
from interop.pickles.families import LARGEST_FILE, PICKLE, check_family, file_kind
from interop.pickles.modules import Tree
from interop.pickles.settings import augment_settings, discriminator_settings, generator_settings
from interop.pickles.values import Module, Values
from torch_utils.tensor_files import TensorKind
from training.config import RunConfig
from training.networks.reference_names import translate
from training.runs.validation import (
    build,
    check_finite,
    check_kinds,
    check_limits,
    elements_of,
    first_error,
    section_of,
)
from training.runs.validation import kinds_of as kinds_of_tensors

NETWORKS = ("G", "D", "G_ema")


@dataclass(frozen=True)
class ReferenceNetworks:
    """What a pickle holds: `tensors` by our names ("G_ema.mapping.layers.0.weight"), checked against `config`."""

    config: RunConfig
    kimg: float
    tensors: dict[str, Tensor]
    sha256: str


def read_reference(path: str | Path) -> ReferenceNetworks:
    """The networks in a pickle of StyleGAN2-ADA (PyTorch) or EqGAN-SA. Nothing in the file is executed or imported.

    Takes memory for the file and once more for its tensors. Raises UserError, one line, for any other file, for a
    damaged one, and for networks that ours cannot be.
    """
    path = Path(path)
    if file_kind(path) != PICKLE:
        check_family(path)
    try:
        with open_regular(path, LARGEST_FILE) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.seek(0, 2)
            file.seek(0)
            return _networks(path, load(file, Values(2 * size)), digest)
    except NotPlain as error:
        check_family(path)  # says whose it is, if that is known
        why = in_one_line(error, REASON)
        raise UserError(f"{path}: no network pickle that can be read without running it: {why}") from error


def _networks(path: Path, found: Any, digest: str) -> ReferenceNetworks:
    trees = _trees(found)
    config = _config(path, found, trees)
    tensors: dict[str, Tensor] = {}
    for name in NETWORKS:
        of_it = _placed(trees[name], config, name, f"{path}: the weights of {name}")
        tensors |= {f"{name}.{key}": tensor for key, tensor in of_it.items()}
    return ReferenceNetworks(config, kimg_of(path), tensors, digest)


def kimg_of(path: Path) -> float:
    """Thousands of images, where the file's name says so, else 0."""
    found = re.search(r"network-snapshot-([0-9]{1,9})", path.name)
    return float(found[1]) if found else 0.0


def _trees(found: Any) -> dict[str, Tree]:
    if not isinstance(found, Dictionary):
        raise NotPlain("it holds no dictionary of networks")
    for name in NETWORKS:
        kind = "Discriminator" if name == "D" else "Generator"
        if not isinstance(found.get(name), Module) or found[name].class_name != kind:
            raise NotPlain(f"{name} is missing, or no {kind}")
    return {name: Tree(found[name]) for name in NETWORKS}


def _config(path: Path, found: Dictionary, trees: dict[str, Tree]) -> RunConfig:
    generator = generator_settings(trees["G_ema"])
    discriminator = discriminator_settings(trees["D"])
    is_steerable = generator["encoding"] is not None
    group = discriminator["mbstd_group_size"]
    given = {
        "name": in_one_line(path.stem, 80),
        "method": "eqgan-sa" if is_steerable else "stylegan2",
        "data": _data(found.get("training_set_kwargs"), generator["c_dim"]),
        "generator": generator,
        "discriminator": discriminator,
        "augment": augment_settings(found.get("augment_pipe")),
        "schedule": {"batch_size": 64 if group is None or 64 % group == 0 else group},
        **(_RELEASED if is_steerable else {"align": {"weight": 0}}),
    }
    try:
        return RunConfig.model_validate(given)
    except ValidationError as error:
        raise NotPlain(f"its networks cannot be built here: {first_error(error)}") from error


_RELEASED = {  # how EqGAN-SA was trained (configs/methods/eqgan-sa.yaml)
    "sampler": {"kind": "released"},
    "align": {"weight": 1, "tau": 0.25, "gradient": "loss", "relu": "channel", "resolution": "image"},
    "loss": {"pl_weight": 0, "style_mixing_prob": 0},
}


def _data(about: Any, c_dim: int) -> dict[str, Any]:
    """What is said of the training images; it may be missing."""
    about = about if isinstance(about, Dictionary) else {}
    path = about.get("path")
    known = isinstance(path, str) and 0 < len(path) < 4096 and path.isprintable()
    return {"path": path if known else "unknown", "conditional": c_dim > 0, "mirror": about.get("xflip") is True}


def _placed(tree: Tree, config: RunConfig, name: str, what: str) -> dict[str, Tensor]:
    """The tensors of a network under our names. Raises UserError unless they are exactly those that it needs."""
    found = {}
    for theirs, stored in tree.tensors().items():
        ours = translate(theirs)
        if ours in found:
            raise NotPlain(f"two tensors are called {ours}")
        if ours is not None:
            found[ours] = stored
    kinds = {key: TensorKind(stored.dtype, stored.shape) for key, stored in found.items()}
    check_limits(section_of(config, name), len(kinds), what)
    check_kinds(kinds, kinds_of_tensors(build(name, config, elements_of(kinds), what).state_dict()), what)
    tensors = {key: stored.tensor() for key, stored in found.items()}
    check_finite(tensors, what)
    return tensors
