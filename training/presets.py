"""From a base configuration, a method and the command line to a RunConfig.

Layers, later ones win:
1. the base configuration, configs/CFG.yaml (with `auto: true`: after what auto_settings computes);
2. the method, configs/methods/METHOD.yaml;
3. what the base configuration says of this method under `methods:`;
4. named options such as --gamma;
5. --set KEY=VALUE, in the order given;
6. what follows from the data.
A YAML file has the sections and keys of RunConfig, and the shared sections of training/config_keys.py; --set takes
the same keys. Nothing here opens a file of the user's.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dnnlib.errors import UserError
from dnnlib.parsing import nearest
from training.config import RunConfig
from training.config_keys import Layer, build, check_keys, leaves, merge, nested

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
ALIGNABLE_RESOLUTION = 32  # from here on D has features at 4x4, 8x8 and 16x16


@dataclass(frozen=True)
class DataFacts:
    """What a run needs to know of its images. label_dim: numbers a label has; 0 where there are no labels."""

    name: str
    resolution: int
    num_channels: int
    size: int
    label_dim: int = 0


@dataclass(frozen=True)
class Options:
    """The command line of train.py as far as it defines a run; None: not given. Values are checked by resolve."""

    data: str
    cfg: str = "auto"
    method: str = "spatialgan"
    gpus: int = 1
    gamma: float | None = None
    kimg: float | None = None
    batch: int | None = None
    mirror: bool | None = None
    cond: bool | None = None
    subset: int | None = None
    seed: int | None = None
    snap: int | None = None
    metrics: str | None = None  # comma-separated names, or none
    resume: str | None = None
    freezed: int | None = None
    fp32: bool | None = None
    nhwc: bool | None = None
    allow_tf32: bool | None = None
    nobench: bool | None = None
    ops: str | None = None
    workers: int | None = None
    aug: str | None = None
    p: float | None = None
    target: float | None = None
    augpipe: str | None = None
    sel: str | None = None
    sel_max_res: str | None = None  # a resolution, or all
    heatmap_mode: str | None = None
    sampler: str | None = None
    align: float | None = None
    tau: float | None = None
    device: str | None = None
    settings: tuple[str, ...] = ()  # KEY=VALUE of --set

    def given(self, names: Iterable[str]) -> dict[str, Any]:
        """{name: value} of those options that were given."""
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


# Options that set one key, as it is.
OPTION_KEYS = {
    "gamma": "loss.r1_gamma",
    "kimg": "schedule.total_kimg",
    "batch": "schedule.batch_size",
    "mirror": "data.mirror",
    "cond": "data.conditional",
    "subset": "data.subset",
    "seed": "seed",
    "snap": "schedule.snapshot_ticks",
    "freezed": "discriminator.freeze_layers",
    "nhwc": "hardware.channels_last",
    "allow_tf32": "hardware.allow_tf32",
    "workers": "data.workers",
    "device": "hardware.device",
    "ops": "hardware.ops",
    "heatmap_mode": "generator.encoding.mode",
    "sampler": "sampler.kind",
    "align": "align.weight",
    "tau": "align.tau",
}

# Keys that --set must leave alone, and what decides them.
DECIDED = {
    "name": "--data, --cfg and --method",
    "method": "--method",
    "data.path": "--data",
    "data.conditional": "--cond",
    "hardware.gpus": "--gpus",
    **{f"generator.{key}": "--data" for key in ("img_resolution", "img_channels", "c_dim")},
    **{f"discriminator.{key}": "--data" for key in ("img_resolution", "img_channels", "c_dim")},
}


def resolve(options: Options, facts: DataFacts) -> RunConfig:
    """The whole configuration of a run.

    Raises UserError, in one line, for anything unknown, out of range, contradictory or not there yet.
    """
    _check_augmentation(options)
    if options.gpus < 1:
        raise UserError(f"--gpus={options.gpus}: give 1 or more; to do without a GPU, --device=cpu")
    design = merge(base_layer(options.cfg, options.method, facts.resolution, options.gpus), _sel_layer(options))
    _check_heard(options, design)
    layers = [_option_layer(options), *map(_set_layer, options.settings), _facts_layer(options, facts)]
    said = {OPTION_KEYS[name]: _spelt(name) for name in options.given(OPTION_KEYS)}
    config = build(merge(design, *layers), said)
    _check_alignment(config)
    _check_data(config, facts)
    return config


def base_layer(cfg: str, method: str, resolution: int, gpus: int = 1) -> Layer:
    """Layers 1 to 3. Raises UserError when there is no such file, or a key in it is unknown."""
    base = _load("--cfg", cfg, CONFIGS)
    method_layer = _load("--method", method, CONFIGS / "methods")
    computed = auto_settings(resolution, gpus) if base.pop("auto", False) else {}
    for_method = base.pop("methods", {}).get(method, {})
    for layer, where in ((base, f"configs/{cfg}.yaml"), (for_method, f"configs/{cfg}.yaml, methods: {method}")):
        check_keys(layer, where)
    check_keys(method_layer, f"configs/methods/{method}.yaml")
    layer = merge(computed, base, method_layer, for_method)
    return merge(layer, {"schedule": _divided(layer.get("schedule", {}), gpus)})


def known_names(kind: str = "") -> list[str]:
    """Base configurations, or with kind="methods" methods, in alphabetical order."""
    return sorted(path.stem for path in (CONFIGS / kind).glob("*.yaml"))


def auto_settings(resolution: int, gpus: int) -> Layer:
    """Settings likely to work, for images of this resolution on this many GPUs.

    As many images a step as fit (32 a GPU, fewer above 128x128), 64 at most; R1 gamma grows with the number of pixels
    and falls with the batch, the half-life of the moving average grows with the batch.
    """
    batch = max(min(gpus * min(4096 // resolution, 32), 64), gpus)
    per_gpu = batch // gpus
    return {
        "networks": {"channel_base": 32768 if resolution >= 512 else 16384},
        "optimizers": {"lr": 0.002 if resolution >= 1024 else 0.0025},
        "discriminator": {"mbstd_group_size": min(per_gpu, 4)},
        "loss": {"r1_gamma": 0.0002 * resolution**2 / batch},
        "ema": {"kimg": batch * 10 / 32},
        "schedule": {"batch_size": batch, "batch_gpu": per_gpu},
    }


def _load(option: str, name: str, folder: Path) -> Layer:
    path = folder / f"{name}.yaml"
    names = known_names(str(folder.relative_to(CONFIGS)))
    if name not in names:
        raise UserError(f"{option} '{name}' is unknown{nearest(name, names)}")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _divided(schedule: Layer, gpus: int) -> Layer:
    """No pass is larger than a GPU's share of the batch."""
    if not {"batch_size", "batch_gpu"} <= schedule.keys():
        return {}
    return {"batch_gpu": min(schedule["batch_gpu"], max(schedule["batch_size"] // gpus, 1))}


def _sel_layer(options: Options) -> Layer:
    """--sel; without spatial encoding there is nothing to align."""
    if options.sel not in (None, "none", "norm"):
        raise UserError(f"--sel '{options.sel}' is unknown{nearest(options.sel, ['none', 'norm'])}")
    if options.sel == "none":
        return {"generator": {"encoding": None}, "align": {"weight": 0}}
    return {} if options.sel is None else nested("generator.encoding.layer", options.sel)


def _option_layer(options: Options) -> Layer:
    layers = [nested(OPTION_KEYS[name], value) for name, value in options.given(OPTION_KEYS).items()]
    if options.batch is not None:
        layers.append(nested("schedule.batch_gpu", max(options.batch // options.gpus, 1)))
    if options.metrics is not None:
        names = [name.strip() for name in options.metrics.split(",") if name.strip()]
        layers.append(nested("schedule.metrics", [] if names == ["none"] else names))
    if options.resume is not None:  # weights that have learnt already need no short average at first
        layers.append({"resume": os.path.abspath(options.resume), "ema": {"rampup": None}})
    if options.fp32:
        layers.append({"networks": {"num_fp16_res": 0, "conv_clamp": None}})
    if options.nobench is not None:
        layers.append(nested("hardware.benchmark", not options.nobench))
    if options.sel_max_res is not None:
        limit = None if options.sel_max_res == "all" else options.sel_max_res
        layers.append(nested("generator.encoding.max_resolution", limit))
    return merge(*layers)


def _set_layer(text: str) -> Layer:
    """One KEY=VALUE of --set; the value is YAML."""
    key, equals, value = text.partition("=")
    where = f"--set {text}"
    if not equals:
        raise UserError(f"{where}: write it as KEY=VALUE, for example loss.r1_gamma=1")
    try:
        layer = nested(key.strip(), yaml.safe_load(value))
    except yaml.YAMLError:
        raise UserError(f"{where}: the value is no YAML; quote it, for example '{key}=[1, 2, 4]'") from None
    check_keys(layer, where)
    for leaf in leaves(layer):
        if leaf in DECIDED:
            raise UserError(f"{where}: {leaf} follows from {DECIDED[leaf]} and cannot be set by itself")
    return layer


def _facts_layer(options: Options, facts: DataFacts) -> Layer:
    image = {
        "img_resolution": facts.resolution,
        "img_channels": facts.num_channels,
        "c_dim": facts.label_dim if options.cond else 0,
    }
    return {
        "name": _run_name(options, facts),
        "method": options.method,
        "data": {"path": os.path.abspath(options.data)},
        "generator": image,
        "discriminator": image,
        "hardware": {"gpus": options.gpus},
    }


def _run_name(options: Options, facts: DataFacts) -> str:
    """Data set, configuration, method and what else tells runs apart, fit for a file name."""
    parts = [facts.name, "cond" if options.cond else "", "mirror" if options.mirror else ""]
    parts += [f"subset{options.subset}"] if options.subset is not None else []
    parts += [options.cfg, options.method]
    parts += [f"{name}{value:g}" for name, value in options.given(["gamma", "kimg", "batch", "freezed"]).items()]
    parts += ["resume" if options.resume is not None else ""]
    return re.sub(r"[^\w.-]", "_", "-".join(part for part in parts if part))


def _check_augmentation(options: Options) -> None:
    known = ("ada", "fixed", "noaug")
    if options.aug is not None and options.aug not in known:
        raise UserError(f"--aug '{options.aug}' is unknown{nearest(options.aug, known)}")
    wanted = options.given(["p", "target", "augpipe"])
    if options.aug in ("ada", "fixed"):
        wanted = {"aug": options.aug, **wanted}
    if wanted:
        (name, value), *_ = wanted.items()
        raise UserError(f"--{name}={value}: augmentation is not there yet; leave it out, or use --aug=noaug alone")


def _check_heard(options: Options, design: Layer) -> None:
    """Options about heatmaps are in vain when the generator hears none."""
    if design["generator"].get("encoding") is not None:
        return
    given = options.given(["sel_max_res", "heatmap_mode", "sampler", "align", "tau"])
    wanted = next((name for name, value in given.items() if value != 0), None)
    if wanted is not None:
        off = " --sel=none" if options.sel == "none" else ""
        raise UserError(
            f"{_spelt(wanted)} needs heatmaps, and --method={options.method}{off} has none; "
            "choose another method, or --sel=norm"
        )


def _check_alignment(config: RunConfig) -> None:
    """Alignment takes heatmaps, and a D large enough to have features at their levels."""
    if config.align.weight == 0:
        return
    if config.generator.encoding is None:
        raise UserError("align.weight is not 0, but the generator hears no heatmaps; set it to 0, or use --sel=none")
    resolution, least = config.generator.img_resolution, ALIGNABLE_RESOLUTION
    if resolution < least:
        raise UserError(
            f"{config.data.path} has images of {resolution}x{resolution}; alignment needs {least}x{least} or more: "
            "use larger images, --align=0 or --method=stylegan2"
        )


def _check_data(config: RunConfig, facts: DataFacts) -> None:
    if config.data.conditional and facts.label_dim == 0:
        raise UserError(f"--cond: {config.data.path} has no labels; add them to its dataset.json, or leave out --cond")
    if (config.data.subset or 0) > facts.size:
        raise UserError(f"--subset={config.data.subset}: {config.data.path} has only {facts.size} images")


def _spelt(name: str) -> str:
    return "--" + name.replace("_", "-")
