"""Out of many wrong valleys: all centers and spreads of some levels at once, on what the other unknowns cannot explain.

A picture that is nearly right may have centers in wrong places all the same, for which the styles make up. So the
centers of a block are looked for by themselves, from several places, on the part of the difference that no small change
of the other unknowns takes away (variable projection, Golub and Pereyra 1973). What is found so is where some steps of
all unknowns are taken from.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from editing.levenberg_marquardt import DAMPING, FACTORS, Search

STARTS = 8  # places from which the centers of a block are looked for; the first is where they are
REDRAWN = 0.5  # share of a start's centers that are elsewhere
STEPS = 5  # from each of them
TRIED = 2  # starts from which all unknowns take steps
TOGETHER = 4  # steps that these are
NOISE = 0.004  # of pixels
NOISE_SHARE = 0.5  # of a picture's rms that is noise while all unknowns take steps: most of it is to go
LONGEST = 1.0  # change of an unknown in a step, in its deviation
STRIDE = 0.5  # by which the others change at most, root of the mean square, in their deviations


def search_block(search: Search, levels: Sequence[int], seed: int) -> Iterator[None]:
    """Put centers of these levels elsewhere where that brings a picture nearer; the iterator pauses after every step.

    Memory is for all pictures of the search at a time: STARTS of each, times their unknowns, times their pixels.
    """
    search.differentiate()
    yield
    places = torch.tensor(search.coordinates.places_of_levels(levels), device=search.vectors.device)
    block = _Block(search, places, torch.Generator().manual_seed(seed))
    for _ in range(STEPS):
        block.step()
        yield
    tried = block.best()
    for number in range(TOGETHER):
        tried.step(anew=number % 2 == 0)
        yield
    pictures = len(search.target)
    squared, best = tried.squared.unflatten(0, (pictures, -1)).min(1)
    best += torch.arange(pictures, device=best.device) * TRIED
    search.take(squared < search.squared, tried.vectors[best], tried.residual[best])


class _Block:
    """Vectors [N, STARTS, P] of which the numbers `places` [Q] are looked for; `search` has derivatives."""

    def __init__(self, search: Search, places: Tensor, stream: torch.Generator):
        self.search, self.places = search, places
        self.others = _Others(search, places)
        self.vectors = _starts(search.vectors, places, stream)
        self.damping = self.vectors.new_full(self.vectors.shape[:2], DAMPING)
        self.factors = self.vectors.new_tensor(FACTORS)
        self.residual = self.others.unexplained(search.residuals(self.vectors))
        self.cost = self._costs(self.residual, self.vectors)

    def step(self) -> None:
        """A Levenberg-Marquardt step of the block, from every start; one that brings nothing is not taken."""
        tried, dampings = self._tried()  # [N, S, K, P]
        residuals = self._residuals(tried)
        costs, best = self._costs(residuals, tried).min(2)
        is_nearer = costs < self.cost
        self.damping = torch.where(
            is_nearer, dampings.gather(2, best[..., None])[..., 0], self.damping * self.factors[-1]
        ).clamp(1e-9, 1e6)
        self.vectors = torch.where(is_nearer[..., None], _chosen(tried, best), self.vectors)
        self.residual = torch.where(is_nearer[..., None], _chosen(residuals, best), self.residual)
        self.cost = torch.where(is_nearer, costs, self.cost)

    def best(self) -> Search:
        """A search of all unknowns from the TRIED best starts of each picture, those of one picture in a row."""
        search, order = self.search, self.cost.argsort(1)[:, :TRIED]
        vectors = self.vectors.gather(1, order[..., None].expand(-1, -1, self.vectors.shape[2]))
        vectors = self.others.corrected(vectors, search.residuals(vectors))
        assert search.layout is not None
        layout = search.layout.repeat(TRIED)
        target = search.target.repeat_interleave(TRIED, 0)
        tried = Search(search.pictures, target, vectors.flatten(0, 1), layout)
        tried.noise, tried.noise_share = NOISE, NOISE_SHARE
        return tried

    def _tried(self) -> tuple[Tensor, Tensor]:
        """Where several dampings lead, [N, S, K, P], and these, [N, S, K]."""
        jacobian = self._derivatives()  # [N, S, Q, M]
        normal = (jacobian @ jacobian.mT).double() + NOISE**2 * torch.eye(len(self.places), device=jacobian.device)
        slope = (jacobian @ self.residual[..., None]).double()[..., 0] + NOISE**2 * self.vectors[..., self.places]
        dampings = self.damping[..., None] * self.factors
        diagonal = torch.diag_embed(normal.diagonal(dim1=2, dim2=3))
        damped = normal[:, :, None] + dampings[..., None, None] * diagonal[:, :, None]
        ways = -torch.linalg.solve(damped, slope[:, :, None].expand(-1, -1, len(self.factors), -1)[..., None])[..., 0]
        ways = ways.float() * (LONGEST / ways.float().abs().amax(-1, keepdim=True)).clamp_max(1)
        tried = self.vectors[:, :, None].repeat(1, 1, len(self.factors), 1)
        tried[..., self.places] += ways
        return tried, dampings

    def _derivatives(self) -> Tensor:
        """Of what the others cannot explain, by the block's numbers: [N, S, Q, M]."""
        search, (pictures, starts, _) = self.search, self.vectors.shape
        assert search.layout is not None
        layout = search.layout.repeat(starts)
        found = search.pictures.derivatives(self.vectors.flatten(0, 1), layout, self.places)  # [N S, M, Q]
        by_number = found.mT.unflatten(0, (pictures, starts)).flatten(1, 2)
        return self.others.unexplained(by_number).unflatten(1, (starts, -1))

    def _residuals(self, vectors: Tensor) -> Tensor:
        """Of vectors [N, S, K, P] what the others cannot explain: [N, S, K, M]."""
        return self.others.unexplained(self.search.residuals(vectors.flatten(1, 2))).unflatten(1, vectors.shape[1:3])

    def _costs(self, residuals: Tensor, vectors: Tensor) -> Tensor:
        return residuals.square().sum(-1) + NOISE**2 * vectors[..., self.places].square().sum(-1)


class _Others:
    """The unknowns beside a block, linearized at the search's own place."""

    def __init__(self, search: Search, places: Tensor):
        self.mask = torch.ones_like(search.vectors[0], dtype=torch.bool)
        self.mask[places] = False
        pixels, sizes, unknowns = torch.linalg.svd(search.jacobian[:, :, self.mask], full_matrices=False)
        self.pixels, self.unknowns, weight = pixels, unknowns, sizes.square() + NOISE**2
        self.share, self.inverse = (sizes.square() / weight)[:, None], (sizes / weight)[:, None]  # [N, 1, k]

    def unexplained(self, residuals: Tensor) -> Tensor:
        """What remains of residuals [N, K, M] when the others change as they like."""
        return residuals - (residuals @ self.pixels * self.share) @ self.pixels.mT

    def corrected(self, vectors: Tensor, residuals: Tensor) -> Tensor:
        """Vectors [N, K, P] with these residuals [N, K, M], after that change, which is no longer than STRIDE."""
        ways = -(residuals @ self.pixels * self.inverse) @ self.unknowns
        length = ways.square().mean(2, keepdim=True).sqrt()
        found = vectors.clone()
        found[..., self.mask] += ways * (STRIDE / length).clamp_max(1)
        return found


def _starts(vectors: Tensor, places: Tensor, stream: torch.Generator) -> Tensor:
    """Vectors [N, STARTS, P] from [N, P]: some centers of the block, with their spreads, are drawn again."""
    shape = [len(vectors), STARTS, len(places) // 3]
    redrawn = torch.rand(shape, generator=stream) < REDRAWN
    redrawn[:, 0] = False
    numbers = torch.cat([redrawn.repeat_interleave(2, -1), redrawn], -1).to(vectors.device)
    drawn = torch.randn(numbers.shape, generator=stream).to(vectors)
    found = vectors[:, None].repeat(1, STARTS, 1)
    found[..., places] = torch.where(numbers, drawn, found[..., places])
    return found


def _chosen(values: Tensor, best: Tensor) -> Tensor:
    """Of [N, S, K, ...] those that [N, S] says."""
    return values.gather(2, best[..., None, None].expand(-1, -1, 1, values.shape[3]))[:, :, 0]
