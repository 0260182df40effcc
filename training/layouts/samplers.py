"""How random layouts are drawn (SpatialGAN, section 3.2; numbers, section 4.1; spreads as released).

A sampler draws `count` layouts with counts[l] centres at level l, on the generator's device. A new one is a function
with this signature, registered under a name: see docs/extending.md.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dnnlib.registry import Registry
from training.config import SamplerConfig
from training.layouts.layout import Layout
from training.layouts.noise import HeatmapNoise

Sampler = Callable[[int, SamplerConfig, torch.Generator, Sequence[int]], Layout]
Shapes = Sequence[tuple[int, int]]  # (count, centres) of each level
TRIES = 64  # layouts among which one with centres apart is looked for
SAMPLERS: Registry[Sampler] = Registry("sampler", home="training.layouts.samplers")


def sample_layout(
    count: int, config: SamplerConfig, generator: torch.Generator, counts: Sequence[int] = (1, 2, 4)
) -> Layout:
    """Draw `count` random layouts by the sampler config.kind, on the generator's device.

    `counts` has one number for scenes of several objects, three for the others. Raises UserError for an unknown kind.
    """
    return SAMPLERS[config.kind](count, config, generator, counts)


@SAMPLERS.register("paper")
def paper(count: int, config: SamplerConfig, generator: torch.Generator, counts: Sequence[int]) -> Layout:
    """Level 0 around the middle of the image, levels 1 and 2 around level 0, all normal."""
    shapes = _shapes(count, counts)
    return Layout(_paper_centers(shapes, generator), _spreads(shapes, config.spread, generator))


@SAMPLERS.register("released")
def released(count: int, config: SamplerConfig, generator: torch.Generator, counts: Sequence[int]) -> Layout:
    """Level 0 normal and clamped, levels 1 and 2 uniform around it: what the released model was trained with."""
    shapes = _shapes(count, counts)
    first = _normal((*shapes[0], 2), 0.33, generator).clamp(-0.75, 0.75)
    return Layout(_with_parts(first, shapes, generator), _spreads(shapes, config.spread, generator))


@SAMPLERS.register("uniform")
def uniform(count: int, config: SamplerConfig, generator: torch.Generator, counts: Sequence[int]) -> Layout:
    """Level 0 anywhere but within config.margin of the borders, levels 1 and 2 around it as released (ours).

    For data whose objects are known to be spread like that: objects are where centres are only as far as both have one
    distribution (docs/co-move.md).
    """
    shapes, limit = _shapes(count, counts), 1 - config.margin
    first = _uniform((*shapes[0], 2), -limit, limit, generator)
    return Layout(_with_parts(first, shapes, generator), _spreads(shapes, config.spread, generator))


@SAMPLERS.register("released-non-hierarchical")
def released_non_hierarchical(
    count: int, config: SamplerConfig, generator: torch.Generator, counts: Sequence[int]
) -> Layout:
    """Each level as the released sampler has it, around a center of its own (an ablation: only the hierarchy goes)."""
    levels = [released(count, config, generator, counts) for _ in counts]
    centers = tuple(drawn.centers[level] for level, drawn in enumerate(levels))
    return Layout(centers, tuple(drawn.spreads[level] for level, drawn in enumerate(levels)))


@SAMPLERS.register("non-hierarchical")
def non_hierarchical(count: int, config: SamplerConfig, generator: torch.Generator, counts: Sequence[int]) -> Layout:
    """Every level by itself, around the middle of the image (an ablation of "paper")."""
    shapes = _shapes(count, counts)
    centers = tuple(_truncated_normal((*shape, 2), 2 / 3, generator) for shape in shapes)
    return Layout(centers, _spreads(shapes, config.spread, generator))


@SAMPLERS.register("multi-object")
def multi_object(count: int, config: SamplerConfig, generator: torch.Generator, counts: Sequence[int]) -> Layout:
    """One level of several objects, anywhere in the image (SpatialGAN, "Multi-object Heatmap Sampling").

    config.margin and config.apart (ours; 0: as the paper has it) leave out layouts that no picture has.
    """
    (shape,) = _shapes(count, counts)
    centers = _scattered(shape, config, generator)
    return Layout((centers,), (_uniform(shape, *config.spread, generator),))


@SAMPLERS.register("noise")
def gaussian_noise(count: int, config: SamplerConfig, generator: torch.Generator, counts: Sequence[int]) -> Layout:
    """Gaussian noise in the place of heatmaps (an ablation)."""
    return _with_noise(count, config, generator, counts, lambda seeds: HeatmapNoise("gaussian", seeds))


@SAMPLERS.register("impulse")
def impulse_noise(count: int, config: SamplerConfig, generator: torch.Generator, counts: Sequence[int]) -> Layout:
    """A share of the heatmaps' pixels set to 0 or 1 (an ablation)."""
    return _with_noise(
        count, config, generator, counts, lambda seeds: HeatmapNoise("impulse", seeds, config.impulse_share)
    )


def _with_noise(
    count: int,
    config: SamplerConfig,
    generator: torch.Generator,
    counts: Sequence[int],
    make: Callable[[Tensor], HeatmapNoise],
) -> Layout:
    shapes = _shapes(count, counts)
    centers, spreads = _paper_centers(shapes, generator), _spreads(shapes, config.spread, generator)
    seeds = torch.randint(2**32, [count], generator=generator, device=generator.device)
    return Layout(centers, spreads, noise=make(seeds))


def _shapes(count: int, counts: Sequence[int]) -> Shapes:
    return [(count, n) for n in counts]


def _paper_centers(shapes: Shapes, generator: torch.Generator) -> tuple[Tensor, ...]:
    first = _truncated_normal((*shapes[0], 2), 2 / 3, generator)
    return (first, *(first[:, :1] + _normal((*shape, 2), 1 / 3, generator) for shape in shapes[1:]))


def _with_parts(first: Tensor, shapes: Shapes, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Level 0, and levels 1 and 2 uniform around its first centre."""
    reaches = zip(shapes[1:], (0.4, 0.8), strict=True)
    others = (first[:, :1] + _uniform((*shape, 2), -reach, reach, generator) for shape, reach in reaches)
    return (first, *others)


def _scattered(shape: tuple[int, int], config: SamplerConfig, generator: torch.Generator) -> Tensor:
    """Centres [N, n, 2] that keep config.apart: of TRIES layouts the first that does, or the most scattered one."""
    limit = 1 - config.margin
    if config.apart == 0 or shape[1] == 1:
        return _truncated_normal((*shape, 2), 1.0, generator, limit)
    tries = _truncated_normal((TRIES, *shape, 2), 1.0, generator, limit)
    nearest = least_distances(tries).clamp(max=config.apart)
    # A first one among equals: what comes later counts for less, by less than distances are to be told apart.
    later = torch.arange(TRIES, device=tries.device)[:, None] * 1e-6
    chosen = (nearest - later).argmax(0)
    return tries[chosen, torch.arange(shape[0], device=tries.device)]


def least_distances(centers: Tensor) -> Tensor:
    """Of the nearest two of n centres [..., n, 2]: [...]. For n = 1: infinite."""
    between = (centers[..., :, None, :] - centers[..., None, :, :]).square().sum(-1)
    own = torch.eye(centers.shape[-2], dtype=torch.bool, device=centers.device)
    return between.masked_fill(own, math.inf).amin((-2, -1)).sqrt()


def _spreads(shapes: Shapes, first: tuple[float, float], generator: torch.Generator) -> tuple[Tensor, ...]:
    """One draw a batch at level 0, one per sub-heatmap at levels 1 and 2."""
    return (
        _uniform((), *first, generator).expand(shapes[0]),
        _uniform(shapes[1], 0.1 / 1.4, 1.1 / 1.4, generator),
        _uniform(shapes[2], 0.1 / 2, 1.1 / 2, generator),
    )


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def _normal(shape: tuple[int, ...], std: float, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device) * std


def _truncated_normal(shape: tuple[int, ...], std: float, generator: torch.Generator, limit: float = 1.0) -> Tensor:
    """Normal(0, std) redrawn while outside +- limit: by the inverse distribution function, which needs no loop."""
    edge = math.erf(limit * 2**-0.5 / std)
    return torch.special.erfinv(_uniform(shape, -1, 1, generator) * edge) * (std * 2**0.5)
