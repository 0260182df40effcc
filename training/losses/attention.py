"""Where the discriminator looks, and how far that is from the layout (EqGAN-SA, section 3.2)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from torch_utils.distributed import ALONE, World
from training.config import AlignConfig, Registration
from training.layouts.layout import LEVEL_RESOLUTIONS, HeatmapSource, registration_of
from training.layouts.registration import resize

LIFT = 256.0  # factor on y: gradients of single pixels come near the smallest numbers of float16


def channel_weights(logits: Tensor, features: Mapping[int, Tensor], sign: str) -> dict[int, Tensor]:
    """GradCAM weights [N, C, 1, 1] of each feature: the spatial mean of d y / d feature, as constants.

    y is the sum of the logits ("logits", the papers), or of softplus(-logits), whose gradient has the other sign
    ("loss", released). Costs a backward pass from the logits to the features only; the graph stays for the loss.
    """
    half = any(feature.dtype == torch.float16 for feature in features.values())
    lift = LIFT if half else 1.0
    y = logits.sum() if sign == "logits" else torch.nn.functional.softplus(-logits).sum()
    at = torch.full_like(y, lift) if half else None
    gradients = torch.autograd.grad(y, list(features.values()), at, retain_graph=True)
    means = (g.detach().mean((2, 3), keepdim=True, dtype=_wide(g)) for g in gradients)
    return {r: mean / lift if half else mean for r, mean in zip(features, means, strict=True)}


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def attention_map(weights: Tensor, feature: Tensor, relu: str) -> Tensor:
    """[N, 1, h, w]: relu of the weighted sum over channels ("sum", the papers), or the sum of relus ("channel")."""
    dtype = torch.promote_types(feature.dtype, torch.float32)
    weighted = feature.to(dtype) * weights.to(dtype)
    if relu == "sum":
        return weighted.sum(1, keepdim=True).relu()
    return weighted.relu().sum(1, keepdim=True)


def normalize(maps: Tensor) -> Tensor:
    """Bring each sample to [0, 1] by its minimum and maximum (taken as constants); a constant map becomes 0."""
    maps = maps - maps.detach().amin((1, 2, 3), keepdim=True)
    largest = maps.detach().amax((1, 2, 3), keepdim=True)
    return maps / largest.clamp_min(torch.finfo(maps.dtype).tiny)


def target_map(layout: HeatmapSource, level: int, resolution: int) -> Tensor:
    """The heatmap that attention is compared with, [N, 1, r, r]: several sub-heatmaps are averaged and normalized.

    So is a single one where heatmaps are means over cells, whose largest value depends on where in a cell the center
    is; attention has the range [0, 1] wherever it is. Samples (released) stay as they are.
    """
    heatmaps = layout.heatmaps(level, resolution)
    if heatmaps.shape[1] == 1 and registration_of(layout) == "corners":
        return heatmaps
    return normalize(heatmaps.mean(1, keepdim=True))


def truncated_distance(attention: Tensor, target: Tensor, tau: float, world: World = ALONE) -> Tensor:
    """Mean of the differences |attention - target| above tau; of all, where at most one is (EqGAN-SA, equation 4).

    Over the images of all ranks of `world`.
    """
    distance = (attention - target).abs()
    above = distance > tau
    sums = torch.stack([(distance * above).sum(), above.sum(), distance.mean()])
    total, count, everything = world.mean(sums).unbind()
    return torch.where(count * world.size > 1.5, total / count.clamp_min(1 / world.size), everything)


def candidate_maps(layout: HeatmapSource, level: int, resolution: int) -> Tensor:
    """What attention may look at in a scene of objects, [N, n + 1, r, r]: each sub-heatmap, then target_map."""
    parts = layout.heatmaps(level, resolution)
    together = normalize(parts.mean(1, keepdim=True))
    if registration_of(layout) == "cells":
        parts = normalize(parts.flatten(0, 1)[:, None]).unflatten(0, parts.shape[:2])[:, :, 0]  # [N, n, r, r]
    return torch.cat([parts, together], dim=1)


def nearest_distance(attention: Tensor, candidates: Tensor, tau: float, by: str = "truncated") -> Tensor:
    """Truncated distance of each sample to the nearest of its candidates, mean over samples (SpatialGAN, equation 5).

    attention [N, 1, h, w], candidates [N, K, h, w]. Truncation is that of truncated_distance, for each map by itself.
    `by`: what is nearest, by that distance ("truncated"), or by the mean over all pixels ("l1"): a mean of what exceeds
    tau is small, too, for a candidate that is wrong by a little everywhere.
    """
    distance = (attention - candidates).abs()
    above = distance > tau
    count = above.sum((2, 3))
    selected = (distance * above).sum((2, 3)) / count.clamp_min(1)
    whole = distance.mean((2, 3))
    truncated = torch.where(count > 1, selected, whole)
    if by == "truncated":
        return truncated.amin(1).mean()
    return truncated.gather(1, whole.argmin(1, keepdim=True)).mean()


def attention_maps(
    logits: Tensor,
    features: Mapping[int, Tensor],
    config: AlignConfig,
    img_resolution: int,
    registration: Registration = "corners",
) -> dict[int, Tensor]:
    """{level: attention [N, 1, r, r] in [0, 1]} for the levels that have a feature, at the resolution to compare at.

    registration: of the heatmaps that it is compared with, and so of the attention where it is resized.
    """
    weights = channel_weights(logits, features, config.gradient)
    maps = {}
    for level, r in enumerate(LEVEL_RESOLUTIONS):
        if r in features:
            raw = attention_map(weights[r], features[r], config.relu)
            maps[level] = normalize(resize(raw, img_resolution, registration) if config.resolution == "image" else raw)
    return maps


def alignment_loss(
    logits: Tensor,
    features: Mapping[int, Tensor],
    layout: HeatmapSource,
    config: AlignConfig,
    img_resolution: int,
    world: World = ALONE,
) -> Tensor:
    """L_align = sum over levels of w_l * truncated distance, without config.weight.

    `logits` and `features` come from the discriminator's one pass over the generated images; gradients reach them
    through the features only.
    """
    maps = attention_maps(logits, features, config, img_resolution, registration_of(layout))
    return sum(  # type: ignore[return-value]  # there is a level: D has a feature of 4x4
        weight * level_distance(maps[level], layout, level, config, world)
        for level, weight in enumerate(config.level_weights)
        if level in maps
    )


def level_distance(
    attention: Tensor, layout: HeatmapSource, level: int, config: AlignConfig, world: World = ALONE
) -> Tensor:
    """How far attention [N, 1, r, r] is from the heatmap or, with config.match "best", from the nearest part."""
    r = attention.shape[2]
    if config.match == "best":
        return nearest_distance(attention, candidate_maps(layout, level, r), config.tau, config.nearest)
    return truncated_distance(attention, target_map(layout, level, r), config.tau, world)
