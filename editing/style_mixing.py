"""Styles of some layers from other pictures (Karras et al. 2019, figure 3)."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.parsing import int_ranges
from training.networks.stylegan import StyleSynthesis
from training.pictures.grids import PAPER, tile, to_cells
from training.sampling import Model

RESOLUTIONS = {"coarse": (4, 8), "middle": (16, 32), "fine": (64, 1 << 20)}  # both ends included


def parse_layers(text: str, model: Model) -> list[int]:
    """Numbers of w for 'coarse', 'middle', 'fine' or a list such as '0-3'.

    Raises UserError for others, and for a model whose picture has one latent and no styles.
    """
    count = model.G.num_ws
    if count == 1:
        backbone = model.config.generator.backbone
        raise UserError(f"a model of the backbone {backbone} has one latent for all layers, and no styles to mix")
    if text not in RESOLUTIONS:
        return int_ranges(text, count)
    lowest, highest = RESOLUTIONS[text]
    chosen = [number for number in range(count) if lowest <= resolution_of(number, model) <= highest]
    if not chosen:
        raise UserError(f"--layers {text}: this model has no such layers; its styles are 0 to {count - 1}")
    return chosen


def resolution_of(number: int, model: Model) -> int:
    """Of the convolution that w `number` is for: 4, 8, 8, 16, 16, ...; the last w, of to_rgb, is of the image's.

    StyleGAN's first version has two at 4x4: 4, 4, 8, 8, ...
    """
    first_is_alone = not isinstance(model.G.synthesis, StyleSynthesis)
    return min(4 << ((number + first_is_alone) // 2), model.config.generator.img_resolution)


def mixed(ws: Tensor, others: Tensor, layers: Sequence[int]) -> Tensor:
    """ws [N, num_ws, ...] with the styles of `layers` from others, of the same shape."""
    result = ws.clone()
    result[:, list(layers)] = others[:, list(layers)]
    return result


def mixing_grid(
    model: Model,
    rows: Sequence[int],
    cols: Sequence[int],
    layers: str,
    label: int | Tensor | None = None,
    psi: float = 1.0,
) -> np.ndarray:
    """The table as a picture, uint8 [H, W, 3]; rows and cols are seeds. Raises UserError on bad input."""
    chosen, styles = parse_layers(layers, model), partial(model.styles, labels=label, truncation_psi=psi)
    layout, other_layout = model.layout(rows), model.layout(cols)
    ws, others = styles(rows, layout=layout), styles(cols, layout=other_layout)
    across, down = len(cols), len(rows)
    pairs = mixed(ws.repeat_interleave(across, 0), others.repeat(down, *[1] * (others.ndim - 1)), chosen)
    places = None if layout is None else layout.repeat(across)
    table = to_cells(model.images([s for s in rows for _ in cols], ws=pairs, layout=places))
    top = to_cells(model.images(cols, ws=others, layout=other_layout))
    left = to_cells(model.images(rows, ws=ws, layout=layout))
    cells = [np.full_like(top[0], PAPER), *top]
    for row in range(down):
        cells += [left[row], *table[row * across : (row + 1) * across]]
    return tile(cells, across + 1)
