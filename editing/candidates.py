"""Random pictures of a model, among which a search for a given one begins."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from training.layouts.layout import Layout
from training.sampling import Model

FIRST_SEED = 3_000_000_000  # far from those that people choose
COMPARED_SIDE = 16  # pixels; smaller than that, pictures are compared as they are
SEEDS_EACH = 1_000_000  # between those of one seed of a search and those of the next


@dataclass(frozen=True)
class Candidates:
    """ws [M, *w_shape], their layout, and pictures [M, C, r, r] of a few pixels."""

    ws: Tensor
    layout: Layout | None
    small: Tensor

    @property
    def deviation(self) -> Tensor:
        """Standard deviation of the styles, [1, 1, ..., w_dim]; 1 where there is no telling."""
        if len(self.ws) < 2:
            return torch.ones_like(self.ws[:1, :1])
        return self.ws[:, :1].std(0, keepdim=True).clamp_min(1e-3)

    def nearest(self, target: Tensor, count: int = 1, passed: int = 0) -> tuple[Tensor, Layout | None]:
        """Styles [N * count, *w_shape] and layout of the candidates that look most like the targets [N, C, R, R].

        passed: nearer ones that are passed over.
        """
        distances = torch.cdist(reduced(target).flatten(1), self.small.flatten(1))  # [N, M]
        best = distances.topk(passed + count, largest=False).indices[:, passed:].flatten()
        return self.ws[best], None if self.layout is None else self.layout[best]


def draw_candidates(model: Model, count: int, seed: int, layout: Layout | None = None) -> Candidates:
    """`count` pictures with random latents, labels and layouts, or one `layout`; the same for the same seed."""
    first = FIRST_SEED + seed % 1000 * SEEDS_EACH
    seeds = list(range(first, first + count))
    labels, layout = model.labels_in_turn(count), model.layout(seeds) if layout is None else layout.repeat(count)
    ws = model.styles(seeds, layout=layout, labels=labels)
    images = model.images(seeds, ws=ws, layout=layout)
    return Candidates(ws, layout, reduced(images).clone())


def reduced(images: Tensor) -> Tensor:
    """Pictures [N, C, R, R] averaged to COMPARED_SIDE pixels, or as they are."""
    factor = images.shape[2] // COMPARED_SIDE
    return F.avg_pool2d(images, factor) if factor > 1 else images
