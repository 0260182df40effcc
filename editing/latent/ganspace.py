"""GANSpace: principal components of random styles (Haerkoenen et al. 2020), applied to a range of layers."""

import torch

from dnnlib.errors import UserError
from editing.latent.styles import SAMPLES, check_range, draw_styles
from training.latent.directions import Directions, Part
from training.sampling import Model


def ganspace(
    model: Model,
    count: int | None = None,
    layers: tuple[int, int] | None = None,
    part: Part | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Directions:
    """The first `count` (None: all) principal components of W, the largest first.

    layers, part: as in sefa. samples: random latents that they are computed from.
    Raises UserError for a model without a space W, or fewer than two samples.
    """
    if samples < 2:
        raise UserError(f"principal components of {samples} latents: there are none; take 2 or more")
    check_range(layers, model.G.num_ws)
    part = part or ("objects" if len(model.G.w_shape) == 3 else "all")
    ws = draw_styles(model, layers, part, samples, seed).double()
    _, sizes, vectors = torch.linalg.svd(ws - ws.mean(0), full_matrices=False)
    vectors, sizes = vectors[:count], sizes[:count]
    deviations = (sizes / (len(ws) - 1) ** 0.5).clamp_min(1e-8).float()
    names = tuple(f"ganspace{number}" for number in range(len(vectors)))
    return Directions(vectors.float().contiguous(), deviations, "ganspace", names, layers, part, model.config.name)
