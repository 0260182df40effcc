"""The options of train.py that define a run, each said once: its name, type, group, default, key and help.

train.py makes its command line from this table, and training/presets/resolve.py a RunConfig. `key` is the one key of
the configuration that an option sets as it is; such an option has the bounds that the key has in training/config.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from dnnlib.cli import PATH, Int, Number, setting
from training.choices import PIPE_NAMES, SAMPLERS, SEL_KINDS, TRACKERS, known_names

DATA, CONFIGURATION, TRAINING = "Data", "Configuration", "Training"
STEERING, AUGMENTATION, TRANSFER = "Steering", "Augmentation", "Going on, and transfer"
REPORTS, HARDWARE = "Reports", "Hardware"

BY_CFG = "by --cfg"
NUMBER, WHOLE = Number(), Int(-(2**63), 2**63 - 1)  # their bounds are those of the key
YES_NO: dict[str, Any] = {"type": bool, "metavar": "BOOL"}


@dataclass(frozen=True)
class Options:
    """The command line of train.py as far as it defines a run; None: not given. Values are checked by resolve."""

    data: str | None = setting(
        "Training images: a zip or folder made by dataset_tool.py. Required.",
        group=DATA, type=PATH, metavar="PATH")  # fmt: skip
    cond: bool | None = setting(
        "Learn the classes of a labelled data set.",
        group=DATA, default="0", key="data.conditional", **YES_NO)  # fmt: skip
    mirror: bool | None = setting(
        "Show every image flipped horizontally, too.",
        group=DATA, default="0", key="data.mirror", **YES_NO)  # fmt: skip
    subset: int | None = setting(
        "Use only N images, drawn at random.",
        group=DATA, default="all", key="data.subset", type=WHOLE, metavar="N")  # fmt: skip

    cfg: str | None = setting(
        f"Base configuration: {', '.join(known_names())}.",
        group=CONFIGURATION, default="auto", metavar="NAME")  # fmt: skip
    method: str | None = setting(
        f"How pictures are steered: {', '.join(known_names('methods'))}; or a row of the papers' tables "
        "(docs/reproduce.md).",
        group=CONFIGURATION, default="spatialgan", metavar="NAME")  # fmt: skip
    settings: tuple[str, ...] = setting(
        "Set any key that --dry-run prints, for example loss.pl_weight=0. Can be repeated.",
        group=CONFIGURATION, value=(), names=("--set",), multiple=True, metavar="KEY=VALUE")  # fmt: skip

    kimg: float | None = setting(
        "Stop after N thousand real images.",
        group=TRAINING, default=BY_CFG, key="schedule.total_kimg", type=NUMBER, metavar="N")  # fmt: skip
    batch: int | None = setting(
        "Images in a training step, over all GPUs.",
        group=TRAINING, default=BY_CFG, key="schedule.batch_size", type=WHOLE, metavar="N")  # fmt: skip
    gamma: float | None = setting(
        "Weight of the R1 regularization of D (docs/gamma.md).",
        group=TRAINING, default=BY_CFG, key="loss.r1_gamma", type=NUMBER, metavar="WEIGHT")  # fmt: skip
    seed: int | None = setting(
        "Seed of everything random.",
        group=TRAINING, default="0", key="seed", type=WHOLE, metavar="N")  # fmt: skip

    sel: str | None = setting(
        f"Spatial encoding, how G is conditioned on heatmaps: {', '.join(SEL_KINDS[::-1])}.",
        group=STEERING, default="by --method", metavar="NAME")  # fmt: skip
    sel_max_res: str | None = setting(
        "Layers up to this resolution are conditioned on them.",
        group=STEERING, default="16; indoor: all", metavar="N|all")  # fmt: skip
    heatmap_mode: str | None = setting(
        "Heatmaps get to a layer's size before their convolutions, or after.",
        group=STEERING, default="by --method", key="generator.encoding.mode", metavar="coarse|fine")  # fmt: skip
    sampler: str | None = setting(
        f"How random layouts are drawn: {', '.join(SAMPLERS)}.",
        group=STEERING, default="by --method", key="sampler.kind", metavar="NAME")  # fmt: skip
    align: float | None = setting(
        "Weight of the alignment of D's attention with the layout; 0 switches it off.",
        group=STEERING, default="by --method", key="align.weight", type=NUMBER, metavar="WEIGHT")  # fmt: skip
    tau: float | None = setting(
        "Alignment forgives differences up to this.",
        group=STEERING, default="0.25", key="align.tau", type=NUMBER, metavar="VALUE")  # fmt: skip

    aug: str | None = setting(
        "Augment what D sees: noaug (never), ada (as strongly as needed; for few images) or fixed.",
        group=AUGMENTATION, default="noaug", key="augment.mode", metavar="MODE")  # fmt: skip
    p: float | None = setting(
        "Probability of --aug=fixed, from 0 to 1.",
        group=AUGMENTATION, key="augment.p", type=NUMBER, metavar="P")  # fmt: skip
    target: float | None = setting(
        "Mean sign of D's logits of real images that --aug=ada holds.",
        group=AUGMENTATION, default="0.6", key="augment.target", type=NUMBER, metavar="VALUE")  # fmt: skip
    augpipe: str | None = setting(
        f"Which transforms: {', '.join(PIPE_NAMES)}.",
        group=AUGMENTATION, default="bgc", metavar="NAME")  # fmt: skip

    resume: str | None = setting(
        "Go on with the latest run in --outdir, or with a run directory; branch off from a checkpoint; or start from "
        "the weights of a snapshot.",
        group=TRANSFER, type=PATH, metavar="latest|PATH")  # fmt: skip
    freezed: int | None = setting(
        "Keep the N layers of D nearest to the image as they are.",
        group=TRANSFER, default="0", key="discriminator.freeze_layers", type=WHOLE, metavar="N")  # fmt: skip

    snap: int | None = setting(
        "Write snapshot, checkpoint and pictures so often.",
        group=REPORTS, default=BY_CFG, key="schedule.snapshot_ticks", type=WHOLE, metavar="TICKS")  # fmt: skip
    keep: int | None = setting(
        "Keep the newest N snapshots only, the first and the best one.",
        group=REPORTS, default="all", key="schedule.keep_snapshots", type=WHOLE, metavar="N")  # fmt: skip
    metrics: str | None = setting(
        "What to measure at every snapshot; calc_metrics.py --list names them.",
        group=REPORTS, default="di,w", metavar="NAME,...|none")  # fmt: skip

    log: str | None = setting(
        f"Where curves and pictures go besides the run's own files: {', '.join(TRACKERS)}.",
        group=REPORTS, default="tensorboard", metavar="NAME,...|none")  # fmt: skip

    device: str | None = setting(
        "Where to compute.",
        group=HARDWARE, default="auto", key="hardware.device", metavar="auto|cuda|cpu")  # fmt: skip
    gpus: int | None = setting(
        "How many GPUs, of this machine.",
        group=HARDWARE, default="1", type=WHOLE, metavar="N")  # fmt: skip
    procs: int | None = setting(
        "How many processes, on the CPU.",
        group=HARDWARE, default="1", type=WHOLE, metavar="N")  # fmt: skip
    workers: int | None = setting(
        "How many processes read images.",
        group=HARDWARE, default=BY_CFG, key="data.workers", type=WHOLE, metavar="N")  # fmt: skip
    fp32: bool | None = setting(
        "Full precision in all layers.",
        group=HARDWARE, default="0", **YES_NO)  # fmt: skip
    bf16: bool | None = setting(
        "bfloat16 instead of float16, where half precision is used.",
        group=HARDWARE, default="0", **YES_NO)  # fmt: skip
    nhwc: bool | None = setting(
        "Keep feature maps with channels last.",
        group=HARDWARE, default="1", key="hardware.channels_last", **YES_NO)  # fmt: skip
    allow_tf32: bool | None = setting(
        "Let NVIDIA GPUs round float32 to TF32.",
        group=HARDWARE, default="1", key="hardware.allow_tf32", **YES_NO)  # fmt: skip
    nobench: bool | None = setting(
        "Keep cuDNN from timing its algorithms.",
        group=HARDWARE, default="0", **YES_NO)  # fmt: skip
    compile: str | None = setting(
        "torch.compile D where one derivative of it is taken; reduce-overhead: with CUDA graphs.",
        group=HARDWARE, default="no", key="hardware.compile", metavar="no|default|reduce-overhead")  # fmt: skip
    ops: str | None = setting(
        "Which versions of the operators: the fastest, the native ones, the fastest without minimal filtering, "
        "PyTorch's, or the plain yardstick.",
        group=HARDWARE, default="auto", key="hardware.ops", metavar="auto|native|direct|pytorch|reference")  # fmt: skip

    @property
    def processes(self) -> int:
        """How many train together."""
        return self.procs or self.gpus or 1

    def given(self, names: Iterable[str]) -> dict[str, Any]:
        """{name: value} of those options that were given."""
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


# Options that set one key, as it is.
OPTION_KEYS: dict[str, str] = {each.name: each.metadata["key"] for each in fields(Options) if each.metadata["key"]}
