"""Does an object go where its heatmap goes? Co-move ratios: commanded against seen displacement.

Here the object is found by its colour, in scenes of one object on a background that is constant along each row.
Positions are (x, y) in [-1, 1], x to the right and y down.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metrics.displacement import centroids, co_move_ratio, half_width
from metrics.registry import MetricContext, Values, metric
from metrics.steerable_pictures import SteerablePictures, draw_pictures, in_batches, no_heatmaps
from training.config import RunConfig
from training.layouts.layout import Layout

STEP = 0.3  # how far the centre of level 0 is moved
THRESHOLD = 0.35  # difference from the row's median colour, summed over channels, from which a pixel is the object's
DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1))  # right, left, down, up
LATENTS = 256


class Moves(NamedTuple):
    """What was seen when the centre of each of N layouts was moved in the four DIRECTIONS.

    ratios and background: [4, N], NaN where no object was found before or after the move. missing: pictures without
    an object, out of 5 N.
    """

    ratios: Tensor
    background: Tensor
    missing: int


def object_masks(images: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Pixels that stand out from their row: images [N, C, H, W] in [-1, 1] -> bool [N, H, W]."""
    background = images.median(dim=3, keepdim=True).values
    return (images - background).abs().sum(1) > threshold


def background_change(before: Tensor, after: Tensor, objects: Tensor) -> Tensor:
    """Mean absolute change of images [N, C, H, W] outside `objects` [N, H, W]: [N], NaN where nothing is outside."""
    outside = objects.logical_not()
    change = (after - before).abs().mean(1)
    return (change * outside).sum((1, 2)) / outside.sum((1, 2))


def _no_single_object(config: RunConfig) -> str | None:
    encoding = config.generator.encoding
    if encoding is not None and encoding.counts[0] != 1:
        return f"it is for pictures of one object, this model places {encoding.counts[0]}"
    return no_heatmaps(config)


@metric("centroid_co_move", num=LATENTS, unit="latents", refuse=_no_single_object, best="highest", reals=0)
def centroid_co_move(context: MetricContext, num: int) -> Values:
    """How far the object follows when the level-0 centre moves by 0.3 (1: all the way; plain backgrounds only)."""
    rng = np.random.default_rng(context.seed)
    labels = context.random_labels(num, rng)
    seeds = rng.integers(2**31, size=num).tolist()
    drawn = draw_pictures(context, seeds, labels)
    starts = {"from_prior": drawn, "from_centre": replace(drawn, layout=centered(drawn.layout))}
    return {
        key: value
        for name, start in starts.items()
        for key, value in summarize(name, observe_moves(context, start)).items()
    }


def centered(layout: Layout) -> Layout:
    """The layout moved, all levels together, so that its first level-0 centre lies at (0, 0)."""
    x, y = layout.centers[0][:, 0].unbind(1)
    return layout.moved(0, 0, -x, -y)


@torch.inference_mode()
def observe_moves(context: MetricContext, pictures: SteerablePictures) -> Moves:
    """Generate every picture before and after the four moves."""
    parts = [_observe_batch(pictures[part]) for part in in_batches(context, len(pictures))]
    return Moves(
        torch.cat([part.ratios for part in parts], 1),
        torch.cat([part.background for part in parts], 1),
        sum(part.missing for part in parts),
    )


def _observe_batch(pictures: SteerablePictures) -> Moves:
    def observed(layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
        images = pictures.images(layout).clamp(-1, 1)
        masks = object_masks(images)
        return images, masks, centroids(masks, layout.registration)

    images, masks, before = observed(pictures.layout)
    missing = before[:, 0].isnan().sum()
    ratios, background = [], []
    for direction in DIRECTIONS:
        offset = torch.tensor(direction, dtype=torch.float32, device=images.device) * STEP
        moved_images, moved_masks, after = observed(pictures.layout.moved(0, 0, *offset.tolist()))
        ratio = co_move_ratio(before, after, offset)
        change = background_change(images, moved_images, masks | moved_masks)
        ratios.append(ratio)
        background.append(change.where(ratio.isfinite(), torch.nan))
        missing = missing + after[:, 0].isnan().sum()
    return Moves(torch.stack(ratios).cpu(), torch.stack(background).cpu(), int(missing))


def summarize(name: str, moves: Moves) -> Values:
    """Mean ratio over pictures, for all and for two directions, and what goes with it; keys begin with `name`.

    ci95: half the width of the 95% confidence interval, normal, over latents (a latent's four moves are one sample).
    """
    each = moves.ratios.nanmean(1)
    per_latent = moves.ratios.nanmean(0)
    return {
        name: each.mean().item(),
        f"{name}_ci95": half_width(per_latent[per_latent.isfinite()]),
        f"{name}_horizontal": each[:2].mean().item(),
        f"{name}_vertical": each[2:].mean().item(),
        f"{name}_background_change": moves.background.nanmean().item(),
        f"{name}_no_object": moves.missing,
        f"{name}_pictures": 5 * moves.ratios.shape[1],
    }
