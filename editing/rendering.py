"""What a session looks like: the one pure function behind the server, the page's exports and the tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.parsing import nearest, shown
from dnnlib.words import counted
from editing.document import Direction, Document
from training.latent.directions import Directions
from training.layouts.files import FORMAT, VERSION, layout_from_json, layout_to_json
from training.layouts.layout import Layout
from training.pictures.grids import to_uint8
from training.sampling import Model

Known = Mapping[str, Directions]  # files of directions that fit the model, by the names that documents call them
NONE: Known = MappingProxyType({})


@dataclass(frozen=True)
class Rendering:
    """A picture, and what it was made of.

    image: uint8 [H, W, C]. layout: of one picture, or None where the model takes none. ws: [1, *w_shape].
    features: {r: the mean over channels of the generator's features [r, r]}, float32, where they were asked for.
    """

    image: np.ndarray
    layout: Layout | None
    ws: Tensor
    images: Tensor  # [1, C, R, R], float32, about [-1, 1]
    features: dict[int, np.ndarray]

    def heatmaps(self, level: int, size: int) -> np.ndarray:
        """The level's heatmaps, the largest value where they overlap: uint8 [size, size], 255 is 1.

        Raises UserError when the model takes no layout.
        """
        if self.layout is None:
            raise UserError("this model takes no layout, so it has no heatmaps")
        heat = self.layout.heatmaps(level, size, floor=0.0)[0].amax(0)
        return (heat.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()

    def layout_json(self) -> dict[str, Any] | None:
        """The layout as a Document has it."""
        return None if self.layout is None else layout_to_json(self.layout)["layouts"][0]


def render(
    model: Model, document: Document, with_features: bool = False, directions: Known = NONE
) -> Rendering:
    """The picture of a document. The same document and model give the same picture, whatever was rendered before.

    directions: those that the document may name. Raises UserError when the document does not fit the model.
    """
    layout = layout_of(model, document)
    ws = styles_of(model, document, layout, directions)
    blocks: dict[int, Tensor] | None = {} if with_features else None
    seeds = [document.seed if document.noise_seed is None else document.noise_seed]
    images = model.images(seeds, ws=ws, layout=layout, noise_mode=document.noise_mode, block_outputs=blocks)
    pixels = to_uint8(images)[0].permute(1, 2, 0).cpu().numpy()
    return Rendering(pixels, layout, ws, images, {r: _mean(x) for r, x in (blocks or {}).items()})


def layout_of(model: Model, document: Document) -> Layout | None:
    """The layout [1 picture] that a document names, or that of its seed; None where the model takes none.

    Raises UserError when it does not fit the model.
    """
    if document.layout is None:
        return model.layout([document.seed])
    whole = {"format": FORMAT, "version": VERSION, "layouts": [document.layout]}
    return model.fitted(layout_from_json(whole)).to(model.device)


def styles_of(model: Model, document: Document, layout: Layout | None, directions: Known = NONE) -> Tensor:
    """ws [1, *w_shape] of a document, after its steps along directions.

    Raises UserError when they do not fit the model, or name directions that are not among those given.
    """
    given = document.styles()
    if given is not None:
        ws = model.styles(ws=torch.from_numpy(given.copy()))
    else:
        ws = model.styles(
            z=latents_of(model, document),
            layout=layout,
            labels=_label(document, model),
            truncation_psi=document.truncation_psi,
            truncation_cutoff=document.truncation_cutoff,
        )
    for number, step in enumerate(document.directions):
        ws = _known(directions, step, f"directions[{number}]").moved(ws, step.index, step.strength)
    return ws


def _known(directions: Known, step: Direction, where: str) -> Directions:
    """The file that a step names. Raises UserError when the editor was given none such."""
    if not directions:
        raise UserError(f"{where}: this editor was given no directions; start it with --directions FILE")
    if step.file not in directions:
        raise UserError(f"{where}.file: no directions '{shown(step.file)}' here{nearest(step.file, directions)}")
    found = directions[step.file]
    if step.index >= len(found):
        raise UserError(f"{where}.index: '{shown(step.file)}' has {len(found)} directions; there is no {step.index}")
    return found


def latents_of(model: Model, document: Document) -> Tensor:
    """z [1, z_dim] or [1, n + 1, z_dim] of its seeds. Raises UserError when objects are named that there are not."""
    z = model.latents([document.seed])
    if document.object_seeds is None:
        return z
    if z.ndim != 3 or len(document.object_seeds) != z.shape[1]:
        codes = z.shape[1] if z.ndim == 3 else 0
        raise UserError(f"object_seeds: {counted(len(document.object_seeds), 'seed')}, but this model takes {codes}")
    for number, code in enumerate(document.object_seeds):
        if code is not None:
            seed, source = code if isinstance(code, tuple) else (code, number)
            z[:, number] = _code(model.latents([seed]), source)
    return z


def _code(z: Tensor, number: int) -> Tensor:
    if number >= z.shape[1]:
        last = z.shape[1] - 2
        raise UserError(f"object_seeds: there is no object {number}; they are 0 to {last}, then the background")
    return z[:, number]


def _label(document: Document, model: Model) -> int | Tensor | None:
    if isinstance(document.label, tuple):
        return torch.tensor([document.label], dtype=torch.float32)
    if document.label is None and model.config.generator.c_dim:
        return 0
    return document.label


def _mean(features: Tensor) -> np.ndarray:
    return features[0].mean(0).cpu().numpy()
