"""Out of a wrong valley: one center is put elsewhere, and the search goes on from there if it comes nearer so.

A picture that is nearly right, but for a center in the wrong place, is a minimum that no descent leaves. So each center
is put at the places of a grid, one at a time. What the other unknowns would make good of it, the linearized problem
says; the most promising places are where some steps are taken from.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from editing.levenberg_marquardt import Search

PLACES = 6  # of the grid, a side
REACH = 1.4  # of the grid, in standard deviations of a center
TRIED = 3  # places from which steps are taken
STEPS = 5  # from each
NOISE = 0.02  # of pixels, as the search has it, at their beginning
DAMPING = 0.01  # of the linearized problem
STRIDE = 0.3  # by which the unknowns change at most, root of the mean square, in their deviations


def jump(search: Search, passed: Tensor) -> Iterator[None]:
    """Put one center of each picture elsewhere where that brings it nearer; the iterator pauses after every step.

    The search has derivatives, and looks for centers. passed [N]: of each picture more promising places that have been
    tried before.
    """
    assert search.layout is not None
    vectors = _promising(search, passed)  # [N, TRIED, P]
    layout = search.layout[torch.arange(len(vectors)).repeat_interleave(TRIED)]
    target = search.target.repeat_interleave(TRIED, 0)
    tried = Search(search.model, target, search.coordinates, vectors.flatten(0, 1), layout)
    tried.noise = NOISE
    for number in range(STEPS):
        tried.step(anew=number == 0)
        yield
    squared, best = tried.squared.unflatten(0, (-1, TRIED)).min(1)
    best += torch.arange(len(best), device=best.device) * TRIED
    search.take(squared < search.squared, tried.vectors[best], tried.residual[best])


def _promising(search: Search, passed: Tensor) -> Tensor:
    """Vectors [N, TRIED, P] with one center elsewhere, and what the others make good of it."""
    elsewhere = _elsewhere(search)  # [N, Q, P]
    residuals = search.residuals(elsewhere)  # [N, Q, M]
    ways = _corrections(search, elsewhere, residuals)
    left = residuals + ways @ search.jacobian.mT
    costs = left.square().sum(2) + NOISE**2 * (elsewhere + ways).square().sum(2)
    ranks = (passed[:, None] + torch.arange(TRIED, device=costs.device)) % costs.shape[1]
    best = costs.argsort(1).gather(1, ranks)
    return (elsewhere + ways).gather(1, best[..., None].expand(-1, -1, elsewhere.shape[2]))


def _elsewhere(search: Search) -> Tensor:
    """Vectors [N, Q, P] with every center at every place of the grid, one at a time."""
    coordinates = search.coordinates
    numbers, deviations = coordinates.numbers(search.vectors), coordinates.deviations
    axis = torch.linspace(-REACH, REACH, PLACES, dtype=numbers.dtype, device=numbers.device)
    grid = torch.cartesian_prod(axis, axis)
    moved = []
    for at in coordinates.places_of_centers():
        there = numbers[:, None].repeat(1, len(grid), 1)
        there[:, :, at : at + 2] = coordinates.mean[at : at + 2] + grid * deviations[at : at + 2]
        moved.append(there)
    return coordinates.standardized(torch.cat(moved, 1))


def _corrections(search: Search, vectors: Tensor, residuals: Tensor) -> Tensor:
    """Ways [N, Q, P] from vectors, by the derivatives at the search's own place; none longer than STRIDE."""
    jacobian, prior = search.jacobian, NOISE**2
    normal = (jacobian.mT @ jacobian).double()
    normal = normal + torch.diag_embed(DAMPING * normal.diagonal(dim1=1, dim2=2) + prior)
    slope = (residuals @ jacobian).double() + prior * vectors
    ways = -torch.linalg.solve(normal, slope.mT).mT.float()
    length = ways.square().mean(2, keepdim=True).sqrt()
    return ways * (STRIDE / length).clamp_max(1)
