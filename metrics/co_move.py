"""Co-move Ratio (SpatialGAN, section 4.2 and table I): does an object make the move that its centre makes?

One level-0 centre is moved by a random p; q is what the object under it moves by; the ratio is (p . q) / |p|^2.
Objects are found by a detector (metrics/detectors). Ours, where the paper is silent: p has a uniform direction and a
length of 0.1 to 0.4 half sides, and turns round, per axis, where the centre would leave the image. Where the sampler
keeps centres from the borders and from each other, moves do, too, as far as turning them round can.
The ceiling is what a perfect follower scores with the same layouts and moves: discs, drawn where the centres are, which
hide each other and are cut off at the borders.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metrics.detectors.choice import make_detector
from metrics.detectors.instances import Detector, Instances, match
from metrics.displacement import centroids, co_move_ratio, half_width
from metrics.registry import MetricContext, Values, metric
from metrics.steerable_pictures import SteerablePictures, draw_pictures, in_batches, no_heatmaps
from training.config import Registration, SamplerConfig
from training.layouts.layout import Layout, concatenate
from training.layouts.registration import pixel_places, positions
from training.layouts.samplers import least_distances
from training.sampling import Model

SHORTEST, LONGEST = 0.1, 0.4  # of a move
DISC = 0.3  # radius of the ceiling's discs, in half sides, for objects of a fifth to a third of the image
SAMPLES = {"co_move": 1000, "co_move5k": 5000, "co_move50k": 50000}

SIGNS = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
NO_OBJECT, LOST = "no_object", "lost"


class Commands(NamedTuple):
    """N samples: seed of latent and layout, number of the moved centre, and p (dx, dy), [N, 2]."""

    seeds: list[int]
    centers: list[int]
    offsets: Tensor


def co_move(context: MetricContext, num: int) -> Values:
    """Co-move Ratio: what an object moves by when its level-0 centre moves (1: all the way); see --detector."""
    detector = context.shared("detector", lambda: _detector(context))
    context.record["detector"] = detector.name
    rng = np.random.default_rng(context.seed)
    encoding = context.model.config.generator.encoding
    assert encoding is not None  # refused before
    commands = draw_commands(num, encoding.counts[0], rng)
    labels = context.random_labels(num, rng)
    values = summarize(observe(context, detector, commands, labels))
    side = context.model.config.generator.img_resolution
    return {**values, "co_move_ceiling": ceiling(context.model, commands, context.batch_size, side)}


def _detector(context: MetricContext) -> Detector:
    options = context.options
    return make_detector(options.detector, options.detector_weights, context.dataset, context.model.device)


for _name, _num in SAMPLES.items():
    metric(_name, num=_num, unit="samples", refuse=no_heatmaps, best="highest", reals=0, template="co_move{n}")(co_move)


def draw_commands(num: int, centers: int, rng: np.random.Generator) -> Commands:
    """Random commands for layouts with that many level-0 centres."""
    seeds, chosen = rng.integers(2**31, size=num).tolist(), rng.integers(centers, size=num).tolist()
    angle, length = rng.uniform(0, 2 * np.pi, size=num), rng.uniform(SHORTEST, LONGEST, size=num)
    offsets = np.stack([np.cos(angle), np.sin(angle)], axis=1) * length[:, None]
    return Commands(seeds, chosen, torch.from_numpy(offsets).float())


@torch.inference_mode()
def observe(
    context: MetricContext, detector: Detector, commands: Commands, labels: Tensor | None
) -> list[float | str]:
    """The ratio of each sample; NO_OBJECT where none lay under the centre, LOST where there was none after the move."""
    seen: list[float | str] = []
    for part in in_batches(context, len(commands.seeds)):
        here = Commands([commands.seeds[n] for n in part], [commands.centers[n] for n in part], commands.offsets[part])
        pictures = draw_pictures(context, here.seeds, None if labels is None else labels[part])
        seen += _observe_batch(pictures, detector, here)
    return seen


def _observe_batch(pictures: SteerablePictures, detector: Detector, commands: Commands) -> list[float | str]:
    layout = pictures.layout
    centers, offsets = allowed(layout, commands, pictures.model.config.sampler)
    before = detector(pictures.images())
    after = detector(pictures.images(moved_one_each(layout, commands.centers, offsets)))
    samples = zip(before, after, centers, offsets, strict=True)
    return [ratio(*sample, layout.registration) for sample in samples]


def ceiling(model: Model, commands: Commands, batch_size: int, side: int) -> float:
    """The mean ratio of pictures of side x side in which discs lie exactly where the centres are."""
    seen: list[float | str] = []
    for part in torch.arange(len(commands.seeds)).split(batch_size):
        chosen = [commands.centers[n] for n in part.tolist()]
        here = Commands([commands.seeds[n] for n in part.tolist()], chosen, commands.offsets[part])
        layout = model.layout(here.seeds)
        assert layout is not None, "refused by no_heatmaps"
        layout = layout.to("cpu")
        centers, offsets = allowed(layout, here, model.config.sampler)
        before, after = (discs(one, side) for one in (layout, moved_one_each(layout, chosen, offsets)))
        seen += [ratio(*sample, layout.registration) for sample in zip(before, after, centers, offsets, strict=True)]
    return summarize(seen)["co_move"]


def discs(layout: Layout, side: int) -> list[Instances]:
    """What a perfect detector sees of discs at the level-0 centres, the last one before all others."""
    axis = positions(side, layout.registration, layout.centers[0])
    x, y = layout.centers[0].unbind(-1)  # [N, n]
    inside = (axis - x[..., None, None]).square() + (axis[:, None] - y[..., None, None]).square() < DISC**2
    later = inside.flip(1).cumsum(1).flip(1) - inside.int()  # how many of the discs in front are there
    features = torch.eye(inside.shape[1])
    visible = inside & (later == 0)
    return [_found(masks, features) for masks in visible]


def _found(masks: Tensor, features: Tensor) -> Instances:
    there = masks.flatten(1).any(1)
    return Instances(masks[there], features[there])


def allowed(layout: Layout, commands: Commands, sampler: SamplerConfig) -> tuple[Tensor, Tensor]:
    """The moved centres [N, 2], and by how much each may be moved, [N, 2]: the commands, mirrored where need be."""
    every = layout.centers[0]
    rows = torch.arange(len(layout), device=every.device)
    index = torch.tensor(commands.centers, device=every.device)
    centers, offsets = every[rows, index], commands.offsets.to(every.device)
    if sampler.apart == 0 or every.shape[1] == 1:
        return centers, kept_inside(centers, offsets, 1 - sampler.margin)
    tries = torch.stack([kept_inside(centers, offsets * sign, 1 - sampler.margin) for sign in SIGNS.to(offsets)])
    moved = every.repeat(len(SIGNS), 1, 1, 1)
    moved[:, rows, index] += tries
    chosen = least_distances(moved).clamp(max=sampler.apart).argmax(0)
    return centers, tries[chosen, rows]


def kept_inside(centers: Tensor, offsets: Tensor, limit: float = 1.0) -> Tensor:
    """Offsets [N, 2] with the sign changed, per axis, of those that take centers [N, 2] out of +- limit."""
    return offsets.where((centers + offsets).abs() <= limit, -offsets)


def moved_one_each(layout: Layout, centers: list[int], offsets: Tensor) -> Layout:
    """Each picture's layout with its own level-0 centre moved by its own (dx, dy), offsets [N, 2]."""
    moves = zip(centers, offsets.tolist(), strict=True)
    return concatenate([layout[[n]].moved(0, index, dx, dy) for n, (index, (dx, dy)) in enumerate(moves)])


def ratio(
    before: Instances, after: Instances, center: Tensor, offset: Tensor, registration: Registration = "corners"
) -> float | str:
    """(p . q) / |p|^2 of the object under `center`, found again by its features; or why there is none."""
    index = under(before.masks, center, registration)
    if index is None:
        return NO_OBJECT
    if len(after.masks) == 0:
        return LOST
    partner = match(before.features[index], after.features)
    start, end = centroids(before.masks[[index]], registration), centroids(after.masks[[partner]], registration)
    value = co_move_ratio(start, end, offset.to(start.device)).item()
    return value if np.isfinite(value) else NO_OBJECT


def under(masks: Tensor, center: Tensor, registration: Registration = "corners") -> int | None:
    """The first of masks [n, R, R] with a pixel at `center` (x, y); None where there is none."""
    side = masks.shape[2]
    x, y = pixel_places(center, side, registration).round().clamp(0, side - 1).int().tolist()
    hit = masks[:, y, x].nonzero()
    return int(hit[0]) if len(hit) else None


def summarize(seen: list[float | str]) -> Values:
    """The mean ratio with half the width of its 95% confidence interval, and what share of samples did not count."""
    ratios = torch.tensor([value for value in seen if not isinstance(value, str)], dtype=torch.float64)
    return {
        "co_move": ratios.mean().item(),
        "co_move_ci95": half_width(ratios),
        "co_move_counted": len(ratios),
        "co_move_no_object": seen.count(NO_OBJECT) / len(seen),
        "co_move_lost": seen.count(LOST) / len(seen),
    }
