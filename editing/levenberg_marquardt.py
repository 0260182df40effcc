"""Styles and places by Levenberg's and Marquardt's damped Gauss-Newton steps, for models of small pictures.

Gradient descent creeps where the picture hardly changes with what is looked for, such as a center of level 2. These
steps solve the linearized problem instead: for a picture that the model can make, a few dozen of them leave nearly
nothing of the difference. What is sought is the likeliest, as if the pixels had normal noise (maximum a posteriori): a
center that hardly matters stays where the model's centers are. The noise is large at first, which keeps the way smooth,
and remains so for a picture that the model cannot make.

Derivatives are exact, by forward differentiation along P unknown numbers at once: what the unknowns do alone is so much
more than what they do together that differences of pictures, of any length, do not tell it. Between two such
calculations they are brought up to date by what each step has shown of them (Broyden 1965).
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import cast

import torch
from torch import Tensor
from torch.func import jvp, vmap

from editing.style_search import SPREADS
from interop.plain_networks import plain
from training.layouts.layout import CHILD_LIMIT, Layout
from training.networks.backbones import GeneratorNetwork
from training.networks.synthesis import Noise
from training.sampling import Model

DAMPING = 1e-2  # at the start, of the normal equations' diagonal
FACTORS = (0.01, 0.1, 1.0, 10.0, 100.0)  # of the damping, all tried in each step
NOISE, NOISE_LEFT, NOISE_DECAY = 0.1, 0.002, 0.7  # of pixels in [-1, 1]: at first, at least, from step to step
NOISE_SHARE = 2.0  # of a picture's rms that is noise at least; more than 1, as errors of neighbors are alike
SHRINKAGE = 0.1  # of the covariance of the unknowns towards its diagonal
BATCH = 256  # pictures at a time


class Coordinates:
    """Styles, one for all layers, and places as vectors [N, P] that are about standard normal for a model's pictures.

    Made from the styles ws [M, *w_shape] and the layout of M random pictures; has_places: whether centers and spreads
    are in the vectors.
    """

    def __init__(self, ws: Tensor, layout: Layout | None, has_places: bool):
        self.w_shape, self.num_ws = ws.shape[2:], ws.shape[1]
        self.counts = layout.counts if layout is not None and has_places else ()
        numbers = self._numbers(ws, layout)
        self.mean = numbers.mean(0)
        deviations = (numbers - self.mean) / max(1, len(numbers) - 1) ** 0.5
        covariance = deviations.T @ deviations
        variances = covariance.diagonal().clamp_min(1e-6)
        self.factor = torch.linalg.cholesky((1 - SHRINKAGE) * covariance + SHRINKAGE * torch.diag(variances))

    @property
    def count(self) -> int:
        """P"""
        return len(self.mean)

    @property
    def centers(self) -> int:
        """That are in the vectors."""
        return sum(self.counts)

    def numbers(self, vectors: Tensor) -> Tensor:
        """What vectors [..., P] stand for: styles, then x and y of all centers, then logarithms of spreads."""
        return self.mean + vectors.double() @ self.factor.T

    def standardized(self, numbers: Tensor) -> Tensor:
        """The vectors [..., P] of such numbers."""
        offsets = (numbers - self.mean).flatten(0, -2).T
        return torch.linalg.solve_triangular(self.factor, offsets, upper=False).T.reshape(numbers.shape).float()

    def places_of_levels(self, levels: Sequence[int]) -> list[int]:
        """Where in the numbers the centers of these levels are, x and y of each, and then their spreads."""
        start, found = self.w_shape.numel(), list[int]()
        for length in (2, 1):  # of a center, of a spread
            for level, count in enumerate(self.counts):
                found += range(start, start + length * count) if level in levels else ()
                start += length * count
        return found

    def vectors(self, ws: Tensor, layout: Layout | None) -> Tensor:
        """Those of styles [N, *w_shape], of which the first layer's counts, and a layout: [N, P]."""
        return self.standardized(self._numbers(ws, layout))

    def __call__(self, vectors: Tensor, layout: Layout | None) -> tuple[Tensor, Layout | None]:
        """Styles [N, *w_shape] and layout of vectors [N, P]. layout: of N pictures, in which places are replaced."""
        numbers, size = self.numbers(vectors).float(), self.w_shape.numel()
        ws = numbers[:, :size].unflatten(1, self.w_shape)[:, None].expand(-1, self.num_ws, *self.w_shape)
        if layout is None or self.centers == 0:
            return ws, layout
        counts = layout.counts
        parts = numbers[:, size:].split([*(2 * n for n in counts), *counts], 1)
        limits = [1.0, *[CHILD_LIMIT] * (len(counts) - 1)]
        limited = zip(parts[: len(counts)], limits, strict=True)
        centers = tuple(c.unflatten(1, (-1, 2)).clamp(-limit, limit) for c, limit in limited)
        spreads = tuple(s.exp().clamp(*SPREADS) for s in parts[len(counts) :])
        return ws, replace(layout, centers=centers, spreads=spreads)

    def _numbers(self, ws: Tensor, layout: Layout | None) -> Tensor:
        places = () if layout is None or self.centers == 0 else (*layout.centers, *(s.log() for s in layout.spreads))
        return torch.cat([part.flatten(1) for part in (ws[:, 0], *places)], 1).double()


class Pictures:
    """A model's pictures of vectors, and how they change with them."""

    def __init__(self, model: Model, coordinates: Coordinates):
        self.model, self.coordinates = model, coordinates

    @cached_property
    def _twin(self) -> GeneratorNetwork:
        """The generator in operators that can be differentiated forward."""
        return plain(self.model.G).to(self.model.device)

    def __call__(self, vectors: Tensor, layout: Layout | None) -> Tensor:
        """As they are shown, within [-1, 1]: [N, C, R, R] of vectors [N, P]."""
        ws, layout = self.coordinates(vectors, layout)
        return self.model.images(ws=ws, layout=layout, batch_size=BATCH).clamp(-1, 1)

    def derivatives(self, vectors: Tensor, layout: Layout | None, places: Tensor) -> Tensor:
        """[N, M, Q] of all pixels, of vectors [N, P], by the numbers at `places` [Q]."""
        ways = torch.eye(vectors.shape[1], device=vectors.device)[places]
        at_a_time = max(1, BATCH // len(places))
        found = []
        with torch.inference_mode(False), torch.no_grad():
            _ = self._twin  # made now, not while it is differentiated
            for start in range(0, len(vectors), at_a_time):
                now = slice(start, start + at_a_time)
                there = None if layout is None else layout[now]
                found.append(self._derivatives(vectors[now].clone(), there, ways))
        return torch.cat(found)

    def _derivatives(self, vectors: Tensor, layout: Layout | None, ways: Tensor) -> Tensor:
        def images(given: Tensor) -> Tensor:
            return self._twin.synthesis(*self.coordinates(given, layout), Noise("const"))

        def along(way: Tensor) -> Tensor:
            image, change = cast(tuple[Tensor, Tensor], jvp(images, (vectors,), (way.expand_as(vectors),)))
            return torch.where(image.abs() <= 1, change, 0.0).flatten(1)

        return vmap(along, out_dims=2)(ways)


class Search:
    """Steps from vectors [N, P] towards target pictures [N, C, R, R]. `vectors` is where they are.

    layout: of N pictures, in which the coordinates put their places.
    """

    def __init__(self, pictures: Pictures, target: Tensor, vectors: Tensor, layout: Layout | None):
        self.pictures, self.target, self.coordinates = pictures, target.clamp(-1, 1), pictures.coordinates
        self.vectors, self.layout = vectors, layout
        self.damping = target.new_full([len(target)], DAMPING)
        self.factors = target.new_tensor(FACTORS)
        self.residual = self.residuals(vectors[:, None])[:, 0]
        self.jacobian = target.new_zeros([len(target), 0])  # [N, M, P] once they are calculated
        self.noise, self.noise_share = NOISE, NOISE_SHARE

    @property
    def squared(self) -> Tensor:
        """Mean squared difference of each picture as it is shown, [N]."""
        return self.residual.square().mean(1)

    def places(self) -> tuple[Tensor, Layout | None]:
        """Styles and layout of where it is."""
        return self.coordinates(self.vectors, self.layout)

    def only(self, chosen: Tensor) -> "Search":
        """A copy with these pictures alone."""
        found = copy.copy(self)
        for name in ("target", "vectors", "damping", "residual", "jacobian"):
            setattr(found, name, getattr(self, name)[chosen])
        found.layout = None if self.layout is None else self.layout[chosen]
        return found

    def step(self, anew: bool) -> None:
        """Go where the best of several dampings leads; a picture that none brings nearer stays where it is.

        anew: calculate derivatives instead of bringing those of the last step up to date.
        """
        if anew:
            self.differentiate()
        prior = torch.maximum(self.noise_share**2 * self.squared, self.target.new_tensor(self.noise**2))  # [N]
        ways, dampings = self._ways(prior)  # [N, K, P]
        residuals = self.residuals(self.vectors[:, None] + ways)
        costs = _costs(residuals, self.vectors[:, None] + ways, prior)
        best, each = costs.argmin(1), torch.arange(len(ways), device=ways.device)
        way, found = ways[each, best], residuals[each, best]
        is_nearer = costs[each, best] < _costs(self.residual[:, None], self.vectors[:, None], prior)[:, 0]
        self._learn(way, found)
        self.damping = torch.where(is_nearer, dampings[each, best], self.damping * self.factors[-1]).clamp(1e-9, 1e6)
        self.take(is_nearer, self.vectors + way, found)
        self.noise = max(NOISE_LEFT, NOISE_DECAY * self.noise)

    def take(self, chosen: Tensor, vectors: Tensor, residual: Tensor) -> None:
        """Go to vectors [N, P], which leave this residual [N, M], with the pictures that a mask [N] says."""
        self.vectors = torch.where(chosen[:, None], vectors, self.vectors)
        self.residual = torch.where(chosen[:, None], residual, self.residual)

    def differentiate(self) -> None:
        """Calculate the derivatives of all pixels."""
        places = torch.arange(self.vectors.shape[1], device=self.vectors.device)
        self.jacobian = self.pictures.derivatives(self.vectors, self.layout, places)

    def _ways(self, prior: Tensor) -> tuple[Tensor, Tensor]:
        """The ways of several dampings, [N, K, P], and these [N, K]."""
        jacobian, weight = self.jacobian, prior.double()[:, None, None]
        normal = (jacobian.mT @ jacobian).double() + weight * torch.eye(self.vectors.shape[1], device=jacobian.device)
        slope = (jacobian.mT @ self.residual[..., None]).double() + weight * self.vectors[..., None]
        dampings = self.damping[:, None] * self.factors
        diagonal = torch.diag_embed(normal.diagonal(dim1=1, dim2=2))
        damped = normal[:, None] + dampings[..., None, None] * diagonal[:, None]
        ways = -torch.linalg.solve(damped, slope[:, None].expand(-1, len(self.factors), -1, -1))
        return ways[..., 0].float(), dampings

    def _learn(self, way: Tensor, residual: Tensor) -> None:
        """Broyden's update: derivatives along the way are what the residuals at its two ends say."""
        surprise = residual - self.residual - (self.jacobian @ way[..., None])[..., 0]
        share = way / way.square().sum(1, keepdim=True).clamp_min(1e-20)
        self.jacobian = self.jacobian + surprise[..., None] * share[:, None]

    def residuals(self, vectors: Tensor) -> Tensor:
        """Of vectors [N, K, P]: differences of all pixels as they are shown, within [-1, 1]: [N, K, M]."""
        layout = None if self.layout is None else self.layout.repeat(vectors.shape[1])
        images = self.pictures(vectors.flatten(0, 1), layout).unflatten(0, vectors.shape[:2])
        return (images - self.target[:, None]).flatten(2)


def _costs(residuals: Tensor, vectors: Tensor, prior: Tensor) -> Tensor:
    """What is minimized, [N, K], of residuals [N, K, M] and vectors [N, K, P]; prior [N]: the noise's variance."""
    return residuals.square().sum(2) + prior[:, None] * vectors.square().sum(2)
