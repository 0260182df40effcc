"""Fréchet distance of two sets of features, as if they were Gaussian (FID: Heusel et al. 2017)."""

import torch
from scipy.linalg import lapack
from torch import Tensor

from dnnlib.errors import UserError
from metrics.features import generated_features, real_moments
from metrics.moments import Moments, moments_of
from metrics.registry import MetricContext, Values, comparison

SMALL = 512  # a matrix of this size is no work
ROUNDING = 1e-15  # of eigenvalues, relative to the largest
TOLERANCE = 1e-7  # of the sum, if all rounding errors had one sign; in truth they have both, and it is far better


@comparison("fid{n}", "Fréchet Inception Distance", extractor="inception", output="2048")
@comparison("fdd{n}", "Fréchet distance on DINOv2 features", extractor="dinov2", output="cls")
@comparison("rfd{n}", "Fréchet distance on random features (no FID)", extractor="random", output="pooled")
def frechet(context: MetricContext, num: int, max_real: int | None, extractor: str, output: str) -> Values:
    """Of `num` generated images to `max_real` real ones, or all."""
    fake = generated_features(context, extractor, num)[output]
    real = real_moments(context, extractor, output, max_real)

    def compute() -> Values:
        return {"": frechet_distance(real, moments_of(fake), unbiased=context.compares_folders)}

    return context.on_first_rank(compute)


def frechet_distance(a: Moments, b: Moments, unbiased: bool = False) -> float:
    """|mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)).

    S are covariances divided by N, as StyleGAN2-ADA's FID has them, or with `unbiased` by N - 1, as FID between
    folders is computed by torch-fidelity and others. Raises UserError for a set of one image.
    """
    for moments in (a, b):
        if moments.count < 2:
            raise UserError("1 image has no spread; a Fréchet distance needs at least 2 images in each set")
    S_a, S_b = (m.unbiased_covariance if unbiased else m.covariance for m in (a, b))
    distance = (a.mean - b.mean).square().sum() + S_a.trace() + S_b.trace() - 2 * trace_of_root(S_a, S_b)
    return distance.item()


def trace_of_root(a: Tensor, b: Tensor) -> Tensor:
    """tr((a b)^(1/2)) of positive semidefinite matrices [F, F], float64.

    With a = A A^T and b = B B^T it is the sum of the singular values of A^T B: no complex numbers.
    """
    if not (a.isfinite().all() and b.isfinite().all()):
        return a.new_tensor(torch.nan)
    return nuclear_norm(factor(a).T @ factor(b))


def nuclear_norm(m: Tensor) -> Tensor:
    """Sum of the singular values of [r, s].

    Of a large matrix they are the roots of the eigenvalues of m m^T, which takes a third of the time, unless those are
    so small that the roots of rounding errors could be seen (with hardly more images than features).
    """
    if min(m.shape) > SMALL:
        squares = torch.linalg.eigvalsh(m @ m.T if m.shape[0] < m.shape[1] else m.T @ m).clamp_min(0)
        values, doubt = squares.sqrt(), ROUNDING * squares[-1]
        if torch.minimum(doubt.sqrt(), doubt / (2 * values)).sum() < TOLERANCE * values.sum():
            return values.sum()
    return torch.linalg.svdvals(m).sum()


def factor(matrix: Tensor) -> Tensor:
    """A [F, rank] with A A^T = `matrix`, up to rounding: Cholesky's, with pivots where the rank is not full."""
    negligible = len(matrix) * torch.finfo(matrix.dtype).eps * matrix.diagonal().max()
    lower, failed = torch.linalg.cholesky_ex(matrix)
    if not failed and lower.diagonal().min() ** 2 > negligible:
        return lower
    packed, pivots, rank, _ = lapack.dpstrf(matrix.numpy(), tol=negligible.item(), lower=1)
    lower = torch.from_numpy(packed).tril()[:, :rank]
    return lower[torch.from_numpy(pivots - 1).argsort()]
