"""Points on the feature maps of a generator: what pulls them, and where they are (DragGAN, Pan et al. 2023).

Places are (x, y) in [-1, 1] as in layouts; the registration says what -1 and 1 are. Features between pixels are
bilinear, so that the map need not be enlarged to the size of the picture first.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from training.config import Registration

PAPER_RESOLUTION = 256  # smaller pictures scale DragGAN's radii, which are pixels of such a one


def sample_features(features: Tensor, places: Tensor, registration: Registration = "corners") -> Tensor:
    """Features [1, C, h, w] at places [..., 2] -> [..., C]; beyond the border they are those of the border."""
    grid = places.reshape(1, 1, -1, 2).to(features.dtype)
    found = F.grid_sample(features, grid, "bilinear", "border", align_corners=registration == "corners")  # [1, C, 1, K]
    return found[0, :, 0].T.reshape(*places.shape[:-1], -1)


def square(radius: float, spacing: float, like: Tensor) -> Tensor:
    """Offsets [K, 2] of a grid with max(|x|, |y|) <= radius and this spacing, row by row; the middle is one of them."""
    count = int(radius / spacing + 1e-6)
    steps = torch.arange(-count, count + 1, device=like.device, dtype=like.dtype) * spacing
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2)


def disc(radius: float, spacing: float, like: Tensor) -> Tensor:
    """Those of square(...) with |offset| <= radius."""
    offsets = square(radius, spacing, like)
    return offsets[offsets.norm(dim=-1) <= radius * (1 + 1e-6)]


def step_towards(points: Tensor, targets: Tensor, length: float) -> Tensor:
    """d_i [P, 2]: from each point [P, 2] towards its target: of this length, or to the target where that is nearer."""
    way = targets - points
    return way * (length / way.norm(dim=-1, keepdim=True).clamp_min(length))


def motion_loss(
    features: Tensor, points: Tensor, ahead: Tensor, offsets: Tensor, registration: Registration = "corners"
) -> Tensor:
    """sum_i sum_q |F(q).detach() - F(q + d_i)|_1, q in the disc around point i (DragGAN, equation 1, first term).

    features [1, C, h, w]; points and ahead (d_i) [P, 2]; offsets [K, 2], those of the disc.
    """
    places = points[:, None] + offsets  # [P, K, 2]
    here = sample_features(features, places, registration).detach()
    return (here - sample_features(features, places + ahead[:, None], registration)).abs().sum()


def mask_loss(features: Tensor, first: Tensor, mask: Tensor) -> Tensor:
    """|(F - F_0) (1 - M)|_1 (DragGAN, equation 1, second term).

    features, first [1, C, h, w]; mask [h, w], 1 where the picture may change.
    """
    return ((features - first) * (1 - mask)).abs().sum()


def track(
    features: Tensor, references: Tensor, candidates: Tensor, registration: Registration = "corners"
) -> Tensor:
    """p_i = argmin over q of |F(q) - f_i|_1 (DragGAN, equation 2), f_i the feature at the point's first place.

    features [1, C, h, w]; references [P, C]; candidates [P, K, 2] -> points [P, 2]. Of equals, the first candidate.
    """
    distances = (sample_features(features, candidates, registration) - references[:, None]).abs().sum(-1)  # [P, K]
    best = distances.argmin(dim=1)
    return candidates[torch.arange(len(best), device=best.device), best]
