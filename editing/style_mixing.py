"""Styles of some layers from other pictures (Karras et al. 2019, figure 3)."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from torch import Tensor

from dnnlib.parsing import int_ranges
from training.networks.style_layers import KINDS, check_styles, style_kinds
from training.pictures.grids import PAPER, tile, to_cells
from training.sampling import Model


def parse_layers(text: str, model: Model) -> list[int]:
    """Numbers of w for 'coarse', 'middle', 'fine' or a list such as '0-3'.

    Raises UserError for others, and for a model whose picture has one latent and no styles.
    """
    check_styles(model.G)
    return list(style_kinds(model.G)[text]) if text in KINDS else int_ranges(text, model.G.num_ws)


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
