"""What a configuration takes: parameters, arithmetic and memory, found on any machine without computing anything.

The networks are made on PyTorch's meta device, whose tensors have shapes but no contents, and every phase of a
training step is gone through there.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from dnnlib.errors import UserError
from dnnlib.parsing import nearest
from torch_utils.randomness import RandomStreams
from training.config import RunConfig
from training.inputs import Batch, Inputs, draw_inputs
from training.losses.phases import Networks, Phase, make_phases
from training.networks.backbones import GeneratorNetwork, Module, make_discriminator, make_generator
from training.networks.spatial_encoding import is_encoding
from training.presets.resolve import DataFacts, known_names

META = torch.device("meta")
RESOLUTIONS = {"cifar": 32, "demo": 32, "paper256": 256, "paper512": 512, "paper1024": 1024}
GIB = 2**30


@dataclass(frozen=True)
class PhaseCost:
    """One phase on one pass of images.

    flops: of the loss and its gradient, a multiply-add counting as two; convolutions and matrix products only.
    kept: bytes that wait for the backward pass, all in float32; kept_half: with the half precision of a GPU.
    """

    interval: int
    flops: int
    kept: int
    kept_half: int


@dataclass(frozen=True)
class TrainingCost:
    """parameters: {network: {part: count}}; flops: {"G", "D": forward, "iteration": a training step} per image.

    memory: bytes of a training step in one process, by kind, without activations; these depend on the phase.
    """

    images_per_pass: int
    parameters: dict[str, dict[str, int]]
    memory: dict[str, int]
    phases: dict[str, PhaseCost]
    flops: dict[str, float]
    half_from: int | None  # the lowest resolution in half precision on a GPU

    @property
    def total_memory(self) -> tuple[int, int]:
        """Bytes on a GPU and on a CPU, in the phase that takes most."""
        fixed = sum(self.memory.values())
        phases = self.phases.values()
        return fixed + max(p.kept_half for p in phases), fixed + max(p.kept for p in phases)


def assumed_facts(cfg: str) -> DataFacts:
    """RGB images without labels of the size that a base configuration is made for.

    Raises UserError for a configuration of any size.
    """
    if cfg not in known_names():
        raise UserError(f"--cfg '{cfg}' is unknown{nearest(cfg, known_names())}")
    if cfg not in RESOLUTIONS:
        known = ", ".join(RESOLUTIONS)
        raise UserError(
            f"--data is missing; give a zip or folder of images made by dataset_tool.py (without one, --dry-run knows "
            f"the image size of {known} only, not of --cfg={cfg})"
        )
    return DataFacts(name="data", resolution=RESOLUTIONS[cfg], num_channels=3, size=2**31)


def summarize(config: RunConfig) -> TrainingCost:
    """What a run of `config` takes. Costs a few seconds and no memory, whatever the size of the networks."""
    networks = _networks(config)
    count = config.schedule.batch_gpu or config.schedule.batch_size // config.hardware.gpus
    inputs, images = _inputs(networks.G, config, count), _images(config, count)
    forward = {"G": _flops(lambda: networks.G(inputs.z, inputs.c, inputs.layout)) / count}
    forward["D"] = _flops(lambda: networks.D(images, inputs.c)) / count
    half = {r for network in (networks.G.synthesis, networks.D) for r in getattr(network, "half_resolutions", ())}
    half_from = min(half) if half else None
    phases = {phase.name: phase_cost(phase, networks, config, count, half_from) for phase in make_phases(config)}
    return TrainingCost(
        images_per_pass=count,
        parameters={"G": count_parameters(networks.G), "D": count_parameters(networks.D)},
        memory=_fixed_memory(networks),
        phases=phases,
        flops=forward | {"iteration": sum(p.flops / p.interval for p in phases.values()) / count},
        half_from=half_from,
    )


def least_memory(config: RunConfig) -> int:
    """Bytes that a process needs at least: for weights, gradients and Adam's moments, and one pass's images."""
    count = config.schedule.batch_gpu or config.schedule.batch_size // config.hardware.gpus
    return sum(_fixed_memory(_networks(config)).values()) + 2 * _bytes(_images(config, count))


def shapes(config: RunConfig) -> dict[str, tuple[int, ...]]:
    """Of all tensors of G and D, by name."""
    networks = _networks(config)
    pairs = (("G", networks.G), ("D", networks.D))
    return {f"{name}.{key}": tuple(value.shape) for name, net in pairs for key, value in net.state_dict().items()}


def count_parameters(network: Module) -> dict[str, int]:
    """{part: numbers that training changes}."""
    parts: Counter[str] = Counter()
    for name, parameter in network.named_parameters():
        parts[_part(name)] += parameter.numel()
    return dict(parts)


def phase_cost(phase: Phase, networks: Networks, config: RunConfig, count: int, half_from: int | None) -> PhaseCost:
    """Go through one pass of a phase over `count` images, forward and backward, as the training loop does."""
    generated = phase.generated(count)
    inputs = _inputs(networks.G, config, generated) if generated else None
    batch = Batch(inputs, _images(config, count), _labels(config, count))
    networks.G.requires_grad_(phase.trained == "G")
    networks.D.requires_grad_(phase.trained == "D")
    networks.D.freeze_layers(config.discriminator.freeze_layers)
    with _CountFlops() as counter:
        with _noting_saved_tensors() as kept:
            loss, _ = phase.loss(networks, batch, config, RandomStreams(0, "cpu"))
        loss.backward()
    for network in (networks.G, networks.D):
        network.zero_grad(set_to_none=True)
    kept.leave_out(_state(networks.G, networks.D))
    return PhaseCost(phase.interval, counter.flops, kept.size(), kept.size(half_from))


class _CountFlops(TorchDispatchMode):
    """Adds up PyTorch's formulas for what is called.

    Its own FlopCounterMode watches modules, too, and cannot follow gradients with respect to a module's input (R1).
    """

    def __init__(self):
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        formula = flop_registry.get(function.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
        return result


@dataclass
class _Kept:
    """Tensors that autograd has saved, one for each storage: views of one share their memory."""

    by_storage: dict[torch.UntypedStorage, Tensor] = field(default_factory=dict)

    def take(self, tensor: Tensor) -> Tensor:
        self.by_storage.setdefault(tensor.untyped_storage(), tensor)
        return tensor.detach()

    def leave_out(self, tensors: Iterable[Tensor]) -> None:
        for tensor in tensors:
            self.by_storage.pop(tensor.untyped_storage(), None)

    def size(self, half_from: int | None = None) -> int:
        """Bytes; feature maps from the resolution `half_from` on count half."""
        return sum(
            storage.nbytes() // (2 if half_from and tensor.ndim == 4 and tensor.shape[2] >= half_from else 1)
            for storage, tensor in self.by_storage.items()
        )


@contextmanager
def _noting_saved_tensors() -> Iterator[_Kept]:
    kept = _Kept()
    with saved_tensors_hooks(kept.take, lambda tensor: tensor):
        yield kept


def _networks(config: RunConfig) -> Networks:
    with META:
        return Networks(make_generator(config.generator), make_discriminator(config.discriminator), torch.zeros([]))


def _inputs(G: GeneratorNetwork, config: RunConfig, count: int) -> Inputs:
    inputs = draw_inputs(G, config, RandomStreams(0, "cpu"), _labels(config, count))
    return inputs if inputs.layout is None else replace(inputs, layout=inputs.layout.to(META))


def _images(config: RunConfig, count: int) -> Tensor:
    settings = config.generator
    return torch.empty([count, settings.img_channels, *[settings.img_resolution] * 2], device=META)


def _labels(config: RunConfig, count: int) -> Tensor:
    return torch.empty([count, config.generator.c_dim], device=META)


def _flops(call) -> int:
    with _CountFlops() as counter, torch.no_grad():
        call()
    return counter.flops


def _part(name: str) -> str:
    """Which part of a network a parameter belongs to."""
    return "spatial encoding" if is_encoding(name) else name.split(".")[0]


def _fixed_memory(networks: Networks) -> dict[str, int]:
    G, D = (sum(map(_bytes, network.parameters())) for network in (networks.G, networks.D))
    return {
        "weights of G and D": sum(map(_bytes, _state(networks.G, networks.D))),
        "moving average of G": sum(map(_bytes, _state(networks.G))),
        "gradients": max(G, D),
        "moments of Adam": 2 * (G + D),
    }


def _state(*networks: Module) -> Iterator[Tensor]:
    for network in networks:
        yield from network.parameters()
        yield from network.buffers()


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


# --- for people -------------------------------------------------------------------------------------------------


def table(summary: TrainingCost) -> str:
    """Lines of text, at most 100 characters each."""
    return "\n".join([*_parameter_lines(summary), "", *_memory_lines(summary), "", *_flop_lines(summary)])


def _parameter_lines(summary: TrainingCost) -> list[str]:
    parts = dict.fromkeys(part for counts in summary.parameters.values() for part in counts)
    rows = {part: [counts.get(part, 0) for counts in summary.parameters.values()] for part in parts}
    rows["total"] = [sum(counts.values()) for counts in summary.parameters.values()]
    header = _row("parameters", list(summary.parameters))
    return [header, *(_row("  " + part, [f"{n:,}" if n else "-" for n in row]) for part, row in rows.items())]


def _memory_lines(summary: TrainingCost) -> list[str]:
    at_most = [max(p.kept_half for p in summary.phases.values()), max(p.kept for p in summary.phases.values())]
    rows = {kind: [size, size] for kind, size in summary.memory.items()} | {"activations": at_most}
    rows["total"] = list(summary.total_memory)
    largest = max(summary.phases, key=lambda name: summary.phases[name].kept)
    half = f"{summary.half_from}x{summary.half_from} and above in half precision" if summary.half_from else "float32"
    return [
        _row("memory of a training step in GiB, each device", ["GPU", "CPU"]),
        *(_row("  " + kind, [f"{size / GIB:.2f}" for size in row]) for kind, row in rows.items()),
        "  Estimated from shapes: gradients are those of the larger network (they are freed after each phase),",
        f"  activations what the backward pass needs in {largest}, the largest phase, with {summary.images_per_pass}",
        f"  images a pass (on a GPU: {half}). Not counted: what convolutions need",
        "  while they run, what sending gradients between GPUs needs, CUDA itself; allow for half as much again.",
    ]


def _flop_lines(summary: TrainingCost) -> list[str]:
    names = {"G": "G, forward", "D": "D, forward", "iteration": "a training step"}
    lazy = ", ".join(f"{name} every {p.interval}" for name, p in summary.phases.items() if p.interval > 1)
    return [
        _row("arithmetic in GFLOPs per image", [""]),
        *(_row("  " + name, [f"{summary.flops[key] / 1e9:,.2f}"]) for key, name in names.items()),
        "  Convolutions and matrix products, a multiply-add as two operations; a step: all phases, forward and",
        f"  backward, each counted as often as it runs ({lazy or 'every step'}). Augmentation is left out.",
    ]


def _row(label: str, cells: list[str]) -> str:
    return (f"{label:48}" + "".join(f"{cell:>14}" for cell in cells)).rstrip()
