"""How long a training step might take on a GPU that is not here: an estimate from counts, not a measurement.

Convolutions reach a part of a GPU's peak, everything else moves memory, and the host needs its time for each launch;
the slower of host and GPU sets the pace. No part of it has been compared with a GPU of ours: take it as right within a
factor of three, and optimistic.
"""

from dataclasses import dataclass

import torch

from dnnlib.errors import UserError
from dnnlib.parsing import nearest
from dnnlib.words import counted
from training.config import RunConfig
from training.cost.launches import Work, work_of_step
from training.cost.pass_size import FREE, images_per_pass, with_pass_size

GIB = 2**30


@dataclass(frozen=True)
class Card:
    """What the vendor's data sheet says: 10^12 operations a second (dense), 10^12 bytes a second, GiB."""

    name: str
    half: float
    tf32: float | None
    float32: float
    bandwidth: float
    memory: float


CARDS = {
    "h200": Card("H200 SXM", 989, 495, 67, 4.8, 140),
    "h100": Card("H100 SXM", 989, 495, 67, 3.35, 79),
    "a100": Card("A100 SXM 80 GB", 312, 156, 19.5, 2.04, 79),
    "v100": Card("V100 SXM 32 GB", 125, None, 15.7, 0.9, 31),
    "rtx4090": Card("RTX 4090", 165, 83, 82, 1.0, 23),
}

PART_OF_PEAK = 0.3  # what convolutions of these sizes reach
PART_OF_BANDWIDTH = 0.75
LAUNCH = 10e-6  # seconds of the host, autograd and Python included


@dataclass(frozen=True)
class Estimate:
    """Seconds per thousand images of all GPUs together: what the GPU takes, what the host takes."""

    card: Card
    images_per_pass: int
    launches: float  # of a training step, on one GPU
    gpu: float
    host: float

    @property
    def seconds_per_kimg(self) -> float:
        return max(self.gpu, self.host)


def find_card(name: str) -> Card:
    """Raises UserError when there is none of that name."""
    if name not in CARDS:
        raise UserError(f"--card '{name}' is unknown{nearest(name, CARDS)}")
    return CARDS[name]


def present_card() -> Card | None:
    """The GPU that is here, as far as its kind is in the table."""
    if not torch.cuda.is_available():
        return None
    words = torch.cuda.get_device_name().lower().replace(" ", "")
    return next((card for key, card in CARDS.items() if key in words), None)


def fitted_to(config: RunConfig, card: Card) -> RunConfig:
    """`config` with the images of a pass that fit the card; unchanged where their number is given."""
    if config.hardware.pass_size == "given":
        return config
    return with_pass_size(config, images_per_pass(config, int(card.memory * FREE * GIB)))


def estimate(config: RunConfig, card: Card) -> Estimate:
    """What a run of `config` might take on one or more such cards. Costs a few seconds."""
    config = fitted_to(config, card)
    work = sum(work_of_step(config).values(), Work())
    share = config.schedule.batch_size / config.hardware.gpus
    steps = 1000 / config.schedule.batch_size
    wide = card.tf32 if config.hardware.allow_tf32 and card.tf32 else card.float32
    arithmetic = (work.half_flops / card.half + work.flops / wide) / (PART_OF_PEAK * 1e12)
    gpu = arithmetic + work.bytes / (PART_OF_BANDWIDTH * card.bandwidth * 1e12)
    per_pass = config.schedule.batch_gpu or int(share)
    return Estimate(card, per_pass, work.launches, gpu * steps, work.launches * LAUNCH * steps)


def table(found: Estimate, gpus: int) -> str:
    """Lines of text, at most 100 characters each."""
    cards = found.card.name if gpus == 1 else f"{gpus} x {found.card.name}"
    bound = "the GPU" if found.gpu > found.host else "launching kernels"
    images = counted(found.images_per_pass, "image")
    return "\n".join([
        f"ESTIMATE for {cards}, from counts and data sheets: {found.seconds_per_kimg:.1f} s/kimg, within a factor of 3",
        f"  {images} a pass; {found.launches:,.0f} launches a step; most time goes to {bound}",
        f"  (GPU {found.gpu:.1f}, host {found.host:.1f} s/kimg). Nothing of this has been measured on a GPU.",
    ])  # fmt: skip
