"""Image-space filtering: octaves of an image are amplified or weakened at random."""

import torch
import torch.nn.functional as F
from torch import Tensor

from training.augment.draws import Draws, only
from training.augment.settings import TransformsConfig

POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)  # share of a photograph's power in each octave, lowest first: about 1 / f


def filter_image(config: TransformsConfig, p: Tensor, draws: Draws, bank: Tensor, images: Tensor) -> Tensor:
    """Images [N, C, H, W], filtered; H and W are larger than half the taps of `bank` [4, taps]. p: []."""
    gains = _draw_gains(config, p, draws, images)
    taps = (gains[:, :, None] * bank.to(images.dtype)).sum(1)
    filtered = _convolve(images, taps)
    return torch.where((gains == 1).all(1)[:, None, None, None], images, filtered)


def _draw_gains(config: TransformsConfig, p: Tensor, draws: Draws, images: Tensor) -> Tensor:
    """Amplitude of each octave, [N, 4]; each change keeps the expected power of the whole."""
    gains = torch.ones([len(images), len(POWER)], dtype=images.dtype, device=images.device)
    for band, (multiplier, power) in enumerate(zip(config.imgfilter_bands, POWER, strict=True)):
        if multiplier == 0:
            continue
        gate = draws.gate(config.imgfilter * multiplier * p)
        gain = only(gate, draws.normal() * config.imgfilter_std).exp2()
        whole = (1 + power * (gain.square() - 1)).sqrt()
        factors = [gain / whole if i == band else 1 / whole for i in range(len(POWER))]
        gains = gains * torch.stack(factors, 1)
    return gains


def _convolve(images: Tensor, taps: Tensor) -> Tensor:
    """Each sample of [N, C, H, W] with its own symmetric taps [N, taps] along x and y, mirrored at the borders."""
    count, channels, height, width = images.shape
    kernels = taps[:, None].expand(-1, channels, -1).reshape(count * channels, 1, 1, -1)  # [N C, 1, 1, taps]
    planes = F.pad(images, [taps.shape[1] // 2] * 4, mode="reflect").flatten(0, 1)[None]  # [1, N C, H + 2p, W + 2p]
    planes = F.conv2d(planes, kernels, groups=count * channels)
    planes = F.conv2d(planes, kernels.transpose(2, 3), groups=count * channels)
    return planes.reshape(count, channels, height, width)
