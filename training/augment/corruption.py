"""Corruptions: additive noise, and a rectangle cut out. Neither moves anything, so heatmaps are left alone."""

import torch
from torch import Tensor

from training.augment.draws import Draws, only
from training.augment.settings import TransformsConfig


def add_noise(config: TransformsConfig, p: Tensor, draws: Draws, images: Tensor) -> Tensor:
    """Images [N, C, H, W] with white noise; its strength is half-normal, one number for each sample. p: []."""
    sigma = only(draws.gate(config.noise * p), draws.half_normal() * config.noise_std)
    return images + sigma[:, None, None, None] * draws.white_noise(images.shape)


def cut_out(config: TransformsConfig, p: Tensor, draws: Draws, images: Tensor) -> Tensor:
    """Images [N, C, H, W] with a rectangle, `cutout_size` of each side, set to 0 around a random point. p: []."""
    size = only(draws.gate(config.cutout * p), images.new_full([len(images)], config.cutout_size))
    x, y = (_distance(draws.uniform(), side) for side in (images.shape[3], images.shape[2]))
    half = size[:, None, None] / 2
    kept = (x[:, None, :] >= half) | (y[:, :, None] >= half)
    return images * kept[:, None].to(images.dtype)


def _distance(center: Tensor, side: int) -> Tensor:
    """From each sample's centre to the pixels along one side, all within [0, 1]: [N, side]."""
    places = (torch.arange(side, dtype=center.dtype, device=center.device) + 0.5) / side
    return (places - center[:, None]).abs()
