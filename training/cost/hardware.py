"""Where and how a run computes."""

import torch

from torch_utils import ops
from torch_utils.allocator import keep_memory, return_memory
from torch_utils.devices import choose_device
from torch_utils.distributed import World
from torch_utils.threads import yield_when_crowded
from training.config import RunConfig


def prepare_hardware(config: RunConfig, world: World) -> World:
    """`world` on this process's device, with the arithmetic switches set and the operators chosen."""
    hardware = config.hardware
    ops.use(ops.default() if hardware.ops == "auto" else hardware.ops)
    if world.size == 1:
        world = World(device=choose_device(hardware.device))
    torch.backends.cuda.matmul.allow_tf32 = hardware.allow_tf32
    torch.backends.cudnn.allow_tf32 = hardware.allow_tf32
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False  # sums over 65536 pixels stay float32
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cudnn.benchmark = hardware.benchmark
    if world.device.type == "cpu":
        return_memory() if hardware.ops == "reference" else keep_memory()
        yield_when_crowded()
    return world
