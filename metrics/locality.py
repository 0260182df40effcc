"""What moves where it should not: change far from a moved centre, relative to change near it (ours).

The papers' authors name the weakness ("altering one sub-heatmap would change the appearance of some remote areas",
SpatialGAN, section 5) but do not measure it.
"""

import numpy as np
import torch
from torch import Tensor

from metrics.registry import MetricContext, Values, metric
from metrics.steerable_pictures import SteerablePictures, draw_pictures, in_batches, no_heatmaps
from training.layouts.layout import Layout

STEP = 0.3  # how far a centre is moved, in half sides of the image
EDGE = 0.1  # a pixel belongs to the neighborhood where the moved sub-heatmap exceeds this, before or after
LATENTS = 256


def neighborhood(before: Layout, after: Layout, index: Tensor, resolution: int, level: int = 0) -> Tensor:
    """Pixels near the moved centre of `level`, index [N] of each picture, before or after: bool [N, R, R]."""
    rows = torch.arange(len(before), device=index.device)
    near = [layout.heatmaps(level, resolution, floor=0.0)[rows, index] > EDGE for layout in (before, after)]
    return near[0] | near[1]


def changes(before: Tensor, after: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Mean absolute change of images [N, C, R, R] inside and outside of masks [N, R, R]: [N] each, NaN for no pixel."""
    change = (after - before).abs().mean(1)
    outside = inside.logical_not()
    near, far = ((change * mask).sum((1, 2)) / mask.sum((1, 2)) for mask in (inside, outside))
    return near, far


@metric("locality", num=LATENTS, unit="latents", refuse=no_heatmaps, reals=0)
def locality(context: MetricContext, num: int) -> Values:
    """Change outside the neighborhood of a moved level-0 centre, relative to inside (0: nothing else changes).

    Of layouts with further levels also for one centre of each: what moves there are parts.
    """
    rng = np.random.default_rng(context.seed)
    labels = context.random_labels(num, rng)
    seeds = rng.integers(2**31, size=num).tolist()
    pictures = draw_pictures(context, seeds, labels)
    values: Values = {}
    for level, count in enumerate(pictures.layout.counts):
        index = torch.from_numpy(rng.integers(count, size=num))
        angle = torch.from_numpy(rng.uniform(0, 2 * np.pi, size=num)).float()
        found = summary(*observe(context, pictures, index, angle, level))
        values |= found if level == 0 else {f"{key}_level{level}": value for key, value in found.items()}
    return values


def summary(inside: Tensor, outside: Tensor) -> dict[str, float]:
    """What the metric says of changes inside and outside [N]; pictures that do not change inside are left out."""
    seen = inside.isfinite() & outside.isfinite() & (inside > 0)
    ratios = outside[seen] / inside[seen]
    return {
        "locality": (outside[seen].mean() / inside[seen].mean()).item(),
        "locality_median": ratios.median().item() if len(ratios) else float("nan"),
        "change_inside": inside[seen].mean().item(),
        "change_outside": outside[seen].mean().item(),
        "unchanged": int(len(seen) - seen.sum()),
    }


@torch.inference_mode()
def observe(
    context: MetricContext, pictures: SteerablePictures, index: Tensor, angle: Tensor, level: int = 0
) -> tuple[Tensor, Tensor]:
    """Change inside and outside, float64 [N] each on the CPU, when centre `index` of `level` moves by STEP."""
    inside, outside = [], []
    for part in in_batches(context, len(pictures)):
        here = pictures[part]
        moved = shifted(here.layout, index[part], angle[part], level)
        before, after = here.images().clamp(-1, 1), here.images(moved).clamp(-1, 1)
        mask = neighborhood(here.layout, moved, index[part].to(before.device), before.shape[2], level)
        near, far = changes(before, after, mask)
        inside.append(near.double().cpu())
        outside.append(far.double().cpu())
    return torch.cat(inside), torch.cat(outside)


def shifted(layout: Layout, index: Tensor, angle: Tensor, level: int = 0) -> Layout:
    """Every picture with its centre `index` [N] of `level` moved by STEP in direction `angle` [N]."""
    device = layout.centers[level].device
    for number in range(layout.counts[level]):
        now = (STEP * (index == number)).to(device)
        layout = layout.moved(level, number, now * angle.cos().to(device), now * angle.sin().to(device))
    return layout
