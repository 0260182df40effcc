"""What a training step starts on a GPU, counted on PyTorch's meta device: no GPU is needed.

A host spends about 10 microseconds on a launch, whatever its size; with few images a pass that is what a step takes.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from torch_utils.devices import treat_as
from torch_utils.randomness import RandomStreams
from training.config import RunConfig
from training.inputs import Batch, Inputs, draw_inputs
from training.losses.phases import Networks, Phase, make_phases
from training.networks.backbones import GeneratorNetwork, make_discriminator, make_generator
from training.state import TrainingState
from training.step import run_phase, update_ema

META = torch.device("meta")

# What only makes tensors of memory that is there, or asks for memory.
FREE = {
    "empty", "empty_like", "new_empty", "new_empty_strided", "empty_strided", "detach", "alias", "view", "_unsafe_view",
    "reshape", "expand", "permute", "transpose", "t", "unsqueeze", "squeeze", "slice", "select", "unbind", "split",
    "split_with_sizes", "unfold", "as_strided", "_reshape_alias", "view_as_real", "diagonal", "lift_fresh", "set_",
    "is_same_size", "scalar_tensor", "promote_types", "lift", "unsqueeze_", "squeeze_",
    "_local_scalar_dense", "sym_size", "chunk", "narrow", "movedim", "swapaxes", "resize_",
}  # fmt: skip

# More than one kernel each, about.
SEVERAL = {
    "select_backward": 2, "slice_backward": 2, "unfold_backward": 2, "repeat_interleave": 3, "native_group_norm": 3,
    "native_group_norm_backward": 4,
}  # fmt: skip

CHUNK, CHUNKS = 65536, 320  # elements of a block, and blocks, of a kernel over many tensors
AT_ONCE = {1: 110, 2: 64, 3: 48, 4: 36}  # tensors of such a kernel, by how many lists of them it walks


def over_many(tensors: Iterable[Tensor], lists: int) -> int:
    """Kernels of an operation over many tensors at once (torch._foreach_*, the fused optimizers)."""
    sizes = [tensor.numel() for tensor in tensors]
    chunks = sum(math.ceil(size / CHUNK) for size in sizes)
    return max(math.ceil(len(sizes) / AT_ONCE[lists]), math.ceil(chunks / CHUNKS))


def launched(name: str, args: Sequence[Any]) -> int:
    """Kernels that one operation, such as "convolution", starts. Convolutions count one for each result."""
    if name in FREE:
        return 0
    if name == "convolution_backward":
        return sum(args[-1])
    if name == "convolution":
        return 1 + (args[2] is not None)  # cuDNN adds a bias afterwards
    if name.startswith("bias_act_grad"):
        return 1 + sum(args[-1])  # sums over what blocks have summed up
    if name.startswith("_foreach_"):
        lists = sum(isinstance(arg, (list, tuple)) and isinstance(arg[0], Tensor) for arg in args)
        return over_many(args[0], lists + (not name.endswith("_")))
    return SEVERAL.get(name, 1)


@dataclass
class Work:
    """Of one operation, or of many: launches, arithmetic by type, and bytes of what is read and written."""

    launches: float = 0
    half_flops: float = 0
    flops: float = 0  # in float32, or TF32
    bytes: float = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __mul__(self, factor: float) -> "Work":
        return Work(*(value * factor for value in vars(self).values()))


class Recorder(TorchDispatchMode):
    """Adds up what is called while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.work = Work()
        self.by_name: dict[str, float] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        count = launched(name, args)
        self.by_name[name] = self.by_name.get(name, 0) + count
        if count:
            self.work += self._measured(function, args, kwargs or {}, result, count)
        return result

    def _measured(self, function, args, kwargs, result, count: int) -> Work:
        tensors = [*_tensors(args), *_tensors(result)]
        formula = flop_registry.get(function.overloadpacket)
        flops = 0 if formula is None else formula(*args, **kwargs, out_val=result)
        half = any(t.dtype in (torch.float16, torch.bfloat16) for t in _tensors(args))
        moved = sum(t.numel() * t.element_size() for t in tensors if t.is_meta)
        return Work(count, flops if half else 0, 0 if half else flops, moved)


def _tensors(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    return [t for value in values for t in _tensors(value)] if isinstance(values, (list, tuple)) else []


@dataclass
class _FusedAdam:
    """Stands for PyTorch's, which knows no meta device."""

    parameters: list[Tensor]
    work: Work = field(default_factory=Work)

    def step(self) -> None:
        numbers = sum(p.numel() for p in self.parameters)
        count = over_many(self.parameters, 4) + over_many(self.parameters[:1], 1)
        self.work = self.work + Work(count, bytes=4 * 7 * numbers)  # reads four lists, writes three

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self.parameters:
            parameter.grad = None


def work_of_step(config: RunConfig) -> dict[str, Work]:
    """What one rank's GPU does in a training step of `config`, by phase; lazy phases by their share.

    Augmentation is left out, and what the loop does beside: copying images to the GPU, reports.
    """
    schedule = config.schedule
    share = schedule.batch_size // config.hardware.gpus
    count = schedule.batch_gpu or share
    with treat_as("cuda"):
        state = _state(config)
        found = {p.name: _work_of_phase(p, config, state, count, share // count) for p in make_phases(config)}
        with Recorder() as recorder:
            update_ema(config, state)
    return found | {"average": recorder.work}


def _state(config: RunConfig) -> TrainingState:
    with META:
        G, D = make_generator(config.generator), make_discriminator(config.discriminator)
        G_ema = make_generator(config.generator)
        networks = Networks(G, D, torch.zeros([]), move_mean=torch.zeros([]))
    channels_last = config.hardware.keeps_channels_last("cuda")
    for network in (G, D, G_ema):
        for module in network.modules():
            if hasattr(module, "memory_format"):
                vars(module)["memory_format"] = torch.channels_last if channels_last else torch.contiguous_format
    optimizers: dict[str, Any] = {"G": _FusedAdam(list(G.parameters())), "D": _FusedAdam(list(D.parameters()))}
    return TrainingState(networks, G_ema, optimizers, RandomStreams(0, "cpu"), RandomStreams(0, "cpu"))


def _work_of_phase(phase: Phase, config: RunConfig, state: TrainingState, count: int, passes: int) -> Work:
    """Of `passes` passes and the optimiser's step, divided by the phase's interval."""
    optimizer: Any = state.optimizers[phase.trained]  # a _FusedAdam
    optimizer.work = Work()
    with Recorder() as recorder:
        inputs = _inputs(state.networks.G, config, phase.generated(count)) if phase.batch_shrink else None
    generated = recorder.work
    size = [config.generator.img_resolution] * 2
    images = torch.empty([count, config.generator.img_channels, *size], device=META)
    batch = Batch(inputs, images, torch.empty([count, config.generator.c_dim], device=META))
    with Recorder() as recorder:
        run_phase(phase, config, state, [batch])
    whole = generated + recorder.work
    return (whole * passes + optimizer.work) * (1 / phase.interval)


def _inputs(G: GeneratorNetwork, config: RunConfig, count: int) -> Inputs:
    """Layouts come from a generator of the CPU: there is none of the meta device."""
    inputs = draw_inputs(G, config, RandomStreams(0, "cpu"), torch.empty([count, config.generator.c_dim], device=META))
    if inputs.layout is None:
        return inputs
    made = inputs.layout._apply(lambda t: torch.empty_like(t, device=META))
    return replace(inputs, layout=made)
