"""A film through several sessions: styles and layouts between two keyframes are mixed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dnnlib.errors import UserError
from editing.document import Document
from editing.rendering import NONE, Known, layout_of, styles_of
from training.layouts.layout import Layout
from training.pictures.grids import overlay_pictures, to_cells
from training.sampling import Model

SIDE = 256  # small pictures are enlarged until they are at least this wide, pixels
MOST_FRAMES = 1200


def film_frames(
    model: Model, documents: Sequence[Document], frames: int, marks: bool, directions: Known = NONE
) -> Iterator[np.ndarray]:
    """uint8 [H, W, 3]: `frames` from each keyframe to the next, then the last keyframe itself.

    directions: those that documents may name. Noise is that of the first document.
    Raises UserError when there are too many frames or a document does not fit.
    """
    total = (len(documents) - 1) * frames + 1
    if total > MOST_FRAMES:
        raise UserError(f"a film of {total} frames is too long; {MOST_FRAMES} are the most")
    keys = [_key(model, document, directions) for document in documents]
    noise = {"noise_mode": documents[0].noise_mode}
    seeds = [documents[0].seed if documents[0].noise_seed is None else documents[0].noise_seed]
    for number in range(total):
        ws, layout = _between(keys, number / frames)
        cells = to_cells(model.images(seeds, ws=ws, layout=layout, **noise), SIDE)
        yield (overlay_pictures(cells, layout.to("cpu")) if marks and layout is not None else cells)[0]


def _key(model: Model, document: Document, directions: Known) -> tuple[Tensor, Layout | None]:
    layout = layout_of(model, document)
    return styles_of(model, document, layout, directions), layout


def _between(keys: Sequence[tuple[Tensor, Layout | None]], at: float) -> tuple[Tensor, Layout | None]:
    first = min(int(at), len(keys) - 2)
    share, (ws_a, a), (ws_b, b) = at - first, keys[first], keys[first + 1]
    ws = torch.lerp(ws_a, ws_b, share)
    return ws, None if a is None else mixed(a, b, share)


def mixed(a: Layout, b: Layout, share: float) -> Layout:
    """The layout between two of one form, at `share` in [0, 1] of the way; noise is that of the first."""

    def mix(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(torch.lerp(x, y, share) for x, y in zip(first, second, strict=True))

    strengths = None
    if a.strengths is not None or b.strengths is not None:
        ones = tuple(map(torch.ones_like, a.spreads))
        strengths = mix(a.strengths or ones, b.strengths or ones)
    return replace(a, centers=mix(a.centers, b.centers), spreads=mix(a.spreads, b.spreads), strengths=strengths)
