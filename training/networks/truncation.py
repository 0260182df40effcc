"""The truncation of latents (Brock et al. 2019, section 3.1), for generators without a mean style."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dnnlib.errors import UserError
from torch_utils.randomness import RandomStreams


def resampled(z: Tensor, threshold: float, seeds: Sequence[int]) -> Tensor:
    """Latents z [N, ...] whose values beyond +-threshold are drawn again until they are within; 0 makes all of them 0.

    Row i draws from seeds[i]. The values come from the normal distribution between the thresholds by its inverse,
    which is what drawing again leads to. Raises UserError for a threshold below 0.
    """
    if threshold < 0:
        raise UserError(f"truncation {threshold:g}: values of z cannot be nearer to 0 than 0; give 0 or more")
    if threshold == 0:
        return torch.zeros_like(z)
    rows = [_inside(row.shape, threshold, seed) for row, seed in zip(z, seeds, strict=True)]
    return torch.where(z.abs() > threshold, torch.stack(rows).to(z), z)


def _inside(shape: Sequence[int], threshold: float, seed: int) -> Tensor:
    draw = torch.rand(shape, dtype=torch.float64, generator=RandomStreams(seed, "cpu")["truncation"])
    share = torch.erf(torch.tensor(threshold / 2**0.5, dtype=torch.float64))
    return (torch.erfinv((2 * draw - 1) * share) * 2**0.5).clamp(-threshold, threshold)
