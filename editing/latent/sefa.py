"""SeFa: closed-form factorisation of the maps from w to styles (Shen and Zhou 2021).

The directions n of length 1 that change styles y = A w + b most are those of the largest |A n|: eigenvectors of A^T A,
where A has the rows of the affine maps of all chosen layers, as they are used (gain of equalised learning rate
included). No picture is looked at.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from dnnlib.errors import UserError
from editing.latent.styles import check_range, deviations_along, draw_styles
from training.latent.directions import Directions, Part
from training.networks.layers import Linear
from training.networks.stylegan import StyleSynthesis
from training.networks.synthesis import SynthesisNetwork
from training.sampling import Model

LAYERED = "SeFa needs a network whose layers take styles (StyleGAN2 or StyleGAN)"


def sefa(
    model: Model, count: int | None = None, layers: tuple[int, int] | None = None, part: Part | None = None
) -> Directions:
    """The first `count` (None: all) directions, the strongest first; `layers`: (first, last) of num_ws, both included.

    part: in scenes of several objects, whose styles: "objects" (None) or "background".
    Raises UserError for a model without styles, or layers that it has not.
    """
    part = part or ("objects" if len(model.G.w_shape) == 3 else "all")
    matrix = style_matrix(model, layers, part)
    vectors = torch.linalg.eigh(matrix.T @ matrix).eigenvectors.T.flip(0)[:count].float()
    deviations = deviations_along(draw_styles(model, layers, part), vectors)
    names = tuple(f"sefa{number}" for number in range(len(vectors)))
    return Directions(vectors, deviations, "sefa", names, layers, part, model.config.name)


def style_matrix(model: Model, layers: tuple[int, int] | None, part: Part) -> Tensor:
    """A [channels of the layers, w_dim], float64: the weights, as they are used, of all affine maps in a range."""
    first, last = check_range(layers, model.G.num_ws)
    maps = [weight for number, weight in style_maps(model.G.synthesis, part) if first <= number <= last]
    if not maps:
        raise UserError(f"no layer of {first}-{last} takes styles of {part}; choose other --layers")
    return torch.cat([weight.detach().double().cpu() for weight in maps])


def style_maps(synthesis: object, part: Part) -> Iterator[tuple[int, Tensor]]:
    """(number of the w, weight [channels, w_dim]) of each layer that takes one. Raises UserError where none does."""
    if isinstance(synthesis, StyleSynthesis):
        for number, r in enumerate(synthesis.resolutions):
            for offset, end in enumerate(synthesis.ends(r)):
                yield 2 * number + offset, used_weight(end.style)
    elif isinstance(synthesis, SynthesisNetwork):
        yield from _of_stylegan2(synthesis, part)
    else:
        raise UserError(f"{LAYERED}; this one is {type(synthesis).__name__}")


def _of_stylegan2(synthesis: SynthesisNetwork, part: Part) -> Iterator[tuple[int, Tensor]]:
    """A block's to_rgb takes the w of the next block's first convolution."""
    start = 0
    for r in synthesis.resolutions:
        block = synthesis.block(r)
        for offset, layer in enumerate(block.styled_layers()):
            if part != "objects":
                yield start + offset, used_weight(layer.affine)
            if part != "background" and layer.objects is not None:
                yield start + offset, used_weight(layer.objects.affine)
        start += block.num_convs


def used_weight(layer: Linear) -> Tensor:
    """[out, in], as it multiplies: a layer stores it with unit variance and scales it when it is used."""
    return layer.weight * layer.weight_gain
