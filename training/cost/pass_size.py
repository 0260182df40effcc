"""How many images a pass takes on a GPU: as many as its memory holds, so that launching kernels costs least."""

from functools import lru_cache

import torch

from torch_utils.distributed import World
from training.config import RunConfig
from training.cost.summary import summarize

RESERVE = 1.5  # convolutions' workspaces, fragments, CUDA itself: on top of what shapes tell (see summary.table)
FREE = 0.95  # of the free memory


def fitted(config: RunConfig, world: World) -> RunConfig:
    """`config` with the images of a pass that fit every rank's GPU; unchanged on a CPU, or where given."""
    if world.device.type != "cuda" or config.hardware.pass_size == "given":
        return config
    free, _ = torch.cuda.mem_get_info(world.device)
    count = torch.tensor(images_per_pass(config, int(free * FREE)), device=world.device)
    world.reduce_([count], "min")
    return with_pass_size(config, int(count))


def with_pass_size(config: RunConfig, count: int) -> RunConfig:
    """`config` with `count` images a pass."""
    return config.model_copy(update={"schedule": config.schedule.model_copy(update={"batch_gpu": count})})


def images_per_pass(config: RunConfig, memory: int) -> int:
    """The largest pass of this rank's share that takes at most `memory` bytes; the smallest where none does.

    Passes are of equal size, and groups of the minibatch standard deviation keep theirs.
    """
    sizes = possible(config)
    small, large = sizes[0], sizes[min(1, len(sizes) - 1)]
    bytes_small = _bytes(config, small)
    each = (_bytes(config, large) - bytes_small) / (large - small) if large > small else 0.0
    fits = [size for size in sizes if RESERVE * (bytes_small + (size - small) * each) <= memory]
    return max(fits, default=small)


def possible(config: RunConfig) -> list[int]:
    """Sizes that divide the share of a rank, in ascending order."""
    share = config.schedule.batch_size // config.hardware.gpus
    given = config.schedule.batch_gpu or share
    group = min(config.discriminator.mbstd_group_size or given, given)
    return [size for size in range(group, share + 1, group) if share % size == 0]


@lru_cache(maxsize=8)  # a preview asks twice
def _bytes(config: RunConfig, count: int) -> int:
    on_gpu, _ = summarize(with_pass_size(config, count)).total_memory
    return on_gpu
