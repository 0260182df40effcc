"""A film through several sessions, whose styles and layouts are its keyframes."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from dnnlib.errors import UserError
from editing.document import Document
from editing.rendering import NONE, Known, layout_of, styles_of
from training.layouts.keyframes import Keyframes
from training.layouts.layout import concatenate
from training.pictures.grids import overlay_pictures, to_cells
from training.sampling import Model

SIDE = 256  # small pictures are enlarged until they are at least this wide, pixels
MOST_FRAMES = 1200
MOST_PIXELS = 2**28  # of all frames together, which are in memory until the film is written


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
    side = max(model.config.generator.img_resolution, SIDE)
    if total * side**2 > MOST_PIXELS:
        raise UserError(f"a film of {total} frames of {side}x{side} is too long; {MOST_PIXELS // side**2} are the most")
    keys = _keyframes(model, documents, directions)
    seeds = [documents[0].seed if documents[0].noise_seed is None else documents[0].noise_seed]
    for time in keys.times(frames):
        ws, layout = keys.at([time])
        cells = to_cells(model.images(seeds, ws=ws, layout=layout, noise_mode=documents[0].noise_mode), SIDE)
        yield (overlay_pictures(cells, layout.to("cpu")) if marks and layout is not None else cells)[0]


def _keyframes(model: Model, documents: Sequence[Document], directions: Known) -> Keyframes:
    layouts = [layout_of(model, document) for document in documents]
    pairs = zip(documents, layouts, strict=True)
    ws = [styles_of(model, document, layout, directions) for document, layout in pairs]
    return Keyframes(torch.cat(ws), concatenate([one for one in layouts if one is not None]) if layouts[0] else None)
