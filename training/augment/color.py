"""Color transforms: an affine map of (r, g, b) for each sample."""

import math

import torch
from torch import Tensor

from training.augment.draws import Draws, only
from training.augment.settings import TransformsConfig

NAMES = ("brightness", "contrast", "lumaflip", "hue", "saturation")


def is_wanted(config: TransformsConfig, channels: int) -> bool:
    """Whether any color transform can happen to images of so many channels."""
    return any(getattr(config, name) > 0 for name in _names(channels))


def change_colors(config: TransformsConfig, p: Tensor, draws: Draws, images: Tensor) -> Tensor:
    """Images [N, 3 or 1, H, W] with random brightness, contrast, luma, hue and saturation. p: []."""
    matrix = _draw_matrix(config, p, draws, images)
    if images.shape[1] == 1:
        factor, offset = matrix[:, :, :3].sum((1, 2)) / 3, matrix[:, :, 3].mean(1)  # [N] each
        return images * factor[:, None, None, None] + offset[:, None, None, None]
    columns = matrix[:, :, :, None, None].unbind(2)  # written out: matmul may be rounded to TF32
    return sum((column * images[:, i, None] for i, column in enumerate(columns[:3])), columns[3])


def _draw_matrix(config: TransformsConfig, p: Tensor, draws: Draws, images: Tensor) -> Tensor:
    """The map as [N, 3, 4]: what r, g, b and 1 contribute to each channel.

    The mean over its rows is the part along the luma axis (1, 1, 1) / sqrt 3.
    """
    matrix = torch.eye(3, 4, dtype=images.dtype, device=images.device).expand(len(images), 3, 4)
    names = [name for name in _names(images.shape[1]) if getattr(config, name) > 0]
    for name in names:
        gate = draws.gate(getattr(config, name) * p)
        matrix = _STEPS[name](matrix, gate, config, draws)
    return matrix


def _brightness(matrix: Tensor, gate: Tensor, config: TransformsConfig, draws: Draws) -> Tensor:
    offset = only(gate, draws.normal() * config.brightness_std)
    return torch.cat([matrix[:, :, :3], matrix[:, :, 3:] + offset[:, None, None]], 2)


def _contrast(matrix: Tensor, gate: Tensor, config: TransformsConfig, draws: Draws) -> Tensor:
    return matrix * only(gate, draws.normal() * config.contrast_std).exp2()[:, None, None]


def _lumaflip(matrix: Tensor, gate: Tensor, config: TransformsConfig, draws: Draws) -> Tensor:
    """Light becomes dark at the same hue and saturation."""
    flipped = only(gate, (draws.uniform() * 2).floor())[:, None, None]
    return matrix - 2 * flipped * _luma(matrix)


def _hue(matrix: Tensor, gate: Tensor, config: TransformsConfig, draws: Draws) -> Tensor:
    """A rotation about the luma axis (Rodrigues' formula)."""
    angle = only(gate, (draws.uniform() * 2 - 1) * (math.pi * config.hue_max))[:, None, None]
    crossed = (matrix.roll(1, 1) - matrix.roll(-1, 1)) / math.sqrt(3)  # axis x column
    return matrix * angle.cos() + crossed * angle.sin() + _luma(matrix) * (1 - angle.cos())


def _saturation(matrix: Tensor, gate: Tensor, config: TransformsConfig, draws: Draws) -> Tensor:
    factor = only(gate, draws.normal() * config.saturation_std).exp2()[:, None, None]
    return matrix * factor + _luma(matrix) * (1 - factor)


def _luma(matrix: Tensor) -> Tensor:
    return matrix.mean(1, keepdim=True)


def _names(channels: int) -> tuple[str, ...]:
    """Grey images have neither hue nor saturation."""
    return NAMES if channels == 3 else NAMES[:3]


_STEPS = dict(zip(NAMES, (_brightness, _contrast, _lumaflip, _hue, _saturation), strict=True))
