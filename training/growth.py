"""When networks grow, and what real images look like meanwhile (Karras et al. 2018, section 2 and figure 2)."""

import torch
from torch import Tensor

from training.config import GrowthConfig, RunConfig
from training.networks.growing import enlarged, reduced, set_level, settle
from training.state import TrainingState


def level_at(growth: GrowthConfig, images: int, img_resolution: int) -> float:
    """The level (training/networks/growing.py) after so many images: it stands still for stable_kimg and rises by 1 in
    fade_kimg, by turns, until the networks are grown up."""
    first, last = ((r or img_resolution // 2).bit_length() - 3 for r in (growth.start_resolution, img_resolution))
    fade, since = growth.fade_kimg * 1000, images - growth.stable_kimg * 1000
    if since < 0:
        return min(first, last)
    rises, rest = divmod(since, fade + growth.stable_kimg * 1000)
    return min(first + rises + (min(rest / fade, 1) if fade > 0 else 1), last)


def grow(state: TrainingState, config: RunConfig) -> float:
    """Bring the networks to the level of state.images, and return it; without a schedule, networks are grown up.

    What is not trained any more from this level on is, from now on, its moving average.
    """
    resolution = config.generator.img_resolution
    level = float(resolution.bit_length() - 3)
    if config.growth is not None:
        level = level_at(config.growth, state.images, resolution)
    settle(state.networks.G, state.G_ema, level)
    for network in (state.networks.G, state.networks.D, state.G_ema):
        set_level(network, level)
    return level


def same_layers(level: float, other: float) -> bool:
    """Whether the same layers take part at two levels."""
    return (int(level), level > int(level)) == (int(other), other > int(other))


def at_level(images: Tensor, level: float) -> Tensor:
    """Images [N, C, R, R] with the detail of a level: between two levels mixed as G mixes its own, at the same size."""
    whole, resolution = int(level), images.shape[2]
    low = enlarged(reduced(images, 4 << whole), resolution)
    if level == whole:
        return low
    return torch.lerp(low, enlarged(reduced(images, 8 << whole), resolution), level - whole)
