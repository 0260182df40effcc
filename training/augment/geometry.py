"""Pixel blitting and geometric transforms, drawn: where every pixel of the augmented image comes from."""

import math

import torch
from torch import Tensor

from training.augment.affine import Affine
from training.augment.draws import Draws, only
from training.augment.settings import TransformsConfig

NAMES = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac")


def is_wanted(config: TransformsConfig) -> bool:
    """Whether any geometric transform can happen."""
    return any(getattr(config, name) > 0 for name in NAMES)


def draw_geometry(config: TransformsConfig, p: Tensor, draws: Draws, images: Tensor) -> Affine:
    """The map from output to input positions, in pixels around the image's middle, x right and y down.

    It is the product of the inverse transforms in the order of the paper (Karras et al. 2020, appendix B). p: [].
    """
    height, width = images.shape[2:]
    geometry = Affine.identity(len(images), images.dtype, images.device)
    geometry = _blit(geometry, config, p, draws, (width, height))
    return _deform(geometry, config, p, draws, (width, height))


def _blit(geometry: Affine, config: TransformsConfig, p: Tensor, draws: Draws, size: tuple[int, int]) -> Affine:
    """Transforms that only move pixels: mirroring, quarter turns, shifts by whole pixels."""
    if config.xflip > 0:
        mirrored = only(draws.gate(config.xflip * p), (draws.uniform() * 2).floor())
        geometry = geometry.scaled(1 - 2 * mirrored, torch.ones_like(mirrored))
    if config.rotate90 > 0:
        quarters = only(draws.gate(config.rotate90 * p), (draws.uniform() * 4).floor())
        geometry = geometry.rotated(quarters * (math.pi / 2))
    if config.xint > 0:
        gate = draws.gate(config.xint * p)
        x, y = (only(gate, (draws.uniform() * 2 - 1) * (config.xint_max * side)).round() for side in size)
        geometry = geometry.shifted(-x, -y)
    return geometry


def _deform(geometry: Affine, config: TransformsConfig, p: Tensor, draws: Draws, size: tuple[int, int]) -> Affine:
    """Transforms that need interpolation: scaling, rotation before and after stretching, shifts."""
    if config.scale > 0:
        factor = only(draws.gate(config.scale * p), draws.normal() * config.scale_std).exp2()
        geometry = geometry.scaled(1 / factor, 1 / factor)
    # Two rotations, each with this chance, leave an image upright with probability 1 - rotate * p.
    chance = 1 - (1 - config.rotate * p).clamp(0, 1).sqrt()
    if config.rotate > 0:
        before, after = ((turn * 2 - 1) * (math.pi * config.rotate_max) for turn in draws.turns())
        geometry = geometry.rotated(only(draws.gate(chance), before))
    if config.aniso > 0:
        factor = only(draws.gate(config.aniso * p), draws.normal() * config.aniso_std).exp2()
        geometry = geometry.scaled(1 / factor, factor)
    if config.rotate > 0:
        geometry = geometry.rotated(only(draws.gate(chance), after))
    if config.xfrac > 0:
        gate = draws.gate(config.xfrac * p)
        x, y = (only(gate, draws.normal() * (config.xfrac_std * side)) for side in size)
        geometry = geometry.shifted(-x, -y)
    return geometry
