"""From a base configuration, a method and the command line to a RunConfig.

Layers, later ones win:
1. the base configuration, configs/CFG.yaml (with `auto: true`: after what auto_settings computes);
2. the method, configs/methods/METHOD.yaml or a row of the papers' tables (training/presets/tables.py); before it the
   method that it `inherits:`;
3. what the base configuration says of a method under `methods:` (right after that method's own);
4. named options such as --gamma;
5. --set KEY=VALUE, in the order given;
6. what follows from the data.
A YAML file has the sections and keys of RunConfig, and the shared sections of training/presets/keys.py; --set takes
the same keys. Nothing here opens a file of the user's.
"""

import copy
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import get_args

import yaml

from dnnlib.cli import spelt
from dnnlib.errors import UserError
from dnnlib.parsing import nearest, shown
from dnnlib.registry import plugins_wanted
from dnnlib.words import counted
from training.augment import geometry
from training.augment.pipes import PIPES, multipliers
from training.augment.settings import AugmentConfig
from training.choices import CONFIGS, known_names
from training.config import Condition, DataConfig, RunConfig
from training.layouts.layout import LEVEL_RESOLUTIONS
from training.networks.backbones import BACKBONES
from training.presets.keys import Layer, build, check_keys, leaves, merge, nested
from training.presets.objects import sampler_layer, sel_layer
from training.presets.options import OPTION_KEYS, Options
from training.presets.tables import rows
from training.presets.values import check_digits, read_value
from training.runs.sources import address_in

AUG_MODES = get_args(AugmentConfig.model_fields["mode"].annotation)
# Of new runs, as a GPU is faster with them; a CPU has neither TF32 nor passes by memory, and always channels last.
NEW_HARDWARE = {"channels_last": True, "allow_tf32": True, "pass_size": "memory"}
MBSTD_GROUP = 4  # images whose standard deviation D looks at
ALIGNABLE_RESOLUTION = 32  # from here on D has features at 4x4, 8x8 and 16x16


@dataclass(frozen=True)
class DataFacts:
    """What a run needs to know of its images.

    label_dim: numbers a label has; 0 where there are no labels. class_names and label_examples: see DataConfig.
    """

    name: str
    resolution: int
    num_channels: int
    size: int
    label_dim: int = 0
    class_names: tuple[str, ...] = ()
    label_examples: tuple[tuple[float, ...], ...] = ()


# Keys that --set must leave alone, and what decides them.
DECIDED = {
    "name": "--data, --cfg and --method",
    "method": "--method",
    "data.path": "--data",
    "data.conditional": "--cond",
    "hardware.gpus": "--gpus or --procs",
    **{f"generator.{key}": "--data" for key in ("img_resolution", "img_channels", "c_dim", "c_values")},
    **{f"discriminator.{key}": "--data" for key in ("img_resolution", "img_channels", "c_dim", "c_values")},
}


def condition_of(options: Options) -> Condition | None:
    """What images are conditioned on: what the method is made for, or --set data.condition; None: nothing.

    Raises UserError for an unknown method or key.
    """
    method = (layer for _, layer in method_chain(options.method or "spatialgan"))
    data = merge(*method, *map(_set_layer, options.settings)).get("data", {})
    conditional = data.get("conditional", False) if options.cond is None else options.cond
    return data.get("condition", "labels") if conditional else None


def assumed_condition(facts: DataFacts, condition: Condition | None) -> DataFacts:
    """Facts of images without labels, with what a method needs: a label map of two classes, or sixteen words of two."""
    sizes = {"label-map": facts.resolution**2, "text": 16}
    if condition not in sizes:
        return facts
    return replace(facts, label_dim=sizes[condition], class_names=("", "thing"))


def resolve(options: Options, facts: DataFacts) -> RunConfig:
    """The whole configuration of a run; options.data has to be given.

    Raises UserError, in one line, for anything unknown, out of range, contradictory or not there yet.
    """
    cfg, method = options.cfg or "auto", options.method or "spatialgan"
    options = replace(options, cfg=cfg, method=method)
    _check_processes(options)
    design = base_layer(cfg, method, facts.resolution, options.gpus or 1)
    design = merge(design, sel_layer(options.sel, design))
    design = merge(design, sampler_layer(options.sampler, design))
    _check_steering_options(options, design)
    layers = [_option_layer(options), *map(_set_layer, options.settings), _facts_layer(options, facts)]
    layers.insert(0, {"schedule": _divided(design.get("schedule", {}), options.processes)})
    layers.insert(0, {"hardware": _new_hardware(options)})
    said = {OPTION_KEYS[name]: spelt(name) for name in options.given(OPTION_KEYS)}
    config = build(merge(design, *layers), said)
    _check_augmentation(options, config)
    _check_alignment(config)
    _check_data(config, facts)
    return config


def base_layer(cfg: str, method: str, resolution: int, gpus: int = 1) -> Layer:
    """Layers 1 to 3. Raises UserError when there is no such file, or a key in it is unknown."""
    base = _load("--cfg", cfg)
    computed = auto_settings(resolution, gpus) if base.pop("auto", False) else {}
    for_methods = base.pop("methods", {})
    layers = [(base, f"configs/{cfg}.yaml")]
    for name, method_layer in method_chain(method):
        layers.append((method_layer, f"{name}.yaml"))
        layers.append((for_methods.get(name, {}), f"configs/{cfg}.yaml, methods: {name}"))
    for layer, where in layers:
        check_keys(layer, where)
    layer = merge(computed, *(layer for layer, _ in layers))
    return merge(layer, {"schedule": _divided(layer.get("schedule", {}), gpus)})


def method_chain(method: str) -> list[tuple[str, Layer]]:
    """The method and those it inherits from, [(name, layer)], the first ancestor first.

    Raises UserError when there is no such method.
    """
    layer = copy.deepcopy(rows()[method].layer) if method in rows() else _load("--method", method, "methods", rows())
    parent = layer.pop("inherits", None)
    return [*(method_chain(parent) if parent else []), (method, layer)]


def auto_settings(resolution: int, gpus: int) -> Layer:
    """Settings likely to work, for images of this resolution on this many GPUs.

    As many images a step as fit (32 a GPU, fewer above 128x128), 64 at most; R1 gamma grows with the number of pixels
    and falls with the batch, the half-life of the moving average grows with the batch.
    """
    batch = max(min(gpus * min(4096 // resolution, 32), 64), gpus)
    per_gpu = batch // gpus
    per_gpu -= per_gpu % min(per_gpu, MBSTD_GROUP)  # whole groups, whatever the number of GPUs
    batch = per_gpu * gpus
    return {
        "networks": {"channel_base": 32768 if resolution >= 512 else 16384},
        "optimizers": {"lr": 0.002 if resolution >= 1024 else 0.0025},
        "discriminator": {"mbstd_group_size": min(per_gpu, MBSTD_GROUP)},
        "loss": {"r1_gamma": 0.0002 * resolution**2 / batch},
        "ema": {"kimg": batch * 10 / 32},
        "schedule": {"batch_size": batch, "batch_gpu": per_gpu},
    }


def _load(option: str, name: str, folder: str = "", others: Iterable[str] = ()) -> Layer:
    """A file of configs/. Raises UserError when there is none of that name; `others` may have been meant, too."""
    names = known_names(folder)
    if name not in names:
        close = nearest(name, [*names, *others])
        listed = f"; known: {', '.join(names)}"
        raise UserError(f"{option} '{name}' is unknown{close if 'known:' not in close else listed}")
    return yaml.safe_load((CONFIGS / folder / f"{name}.yaml").read_text(encoding="utf-8"))


def _divided(schedule: Layer, gpus: int) -> Layer:
    """No pass is larger than a GPU's share of the batch."""
    if schedule.get("batch_size") is None or schedule.get("batch_gpu") is None:
        return {}
    return {"batch_gpu": min(schedule["batch_gpu"], max(schedule["batch_size"] // gpus, 1))}


def _new_hardware(options: Options) -> Layer:
    """Passes are of the size that was asked for, where it was; captured graphs need it known beforehand."""
    hardware, keys = dict(NEW_HARDWARE), _set_keys(options)
    if "schedule.batch_gpu" in keys or options.compile == "reduce-overhead":
        hardware["pass_size"] = "given"
    return hardware


def _set_keys(options: Options) -> set[str]:
    return {key for setting in map(_set_layer, options.settings) for key in leaves(setting)}


def keep_saved_hardware(config: RunConfig, saved: RunConfig, options: Options) -> RunConfig:
    """`config` of a command that goes on with a run: what it leaves open of NEW_HARDWARE stays as the run began."""
    keys = _set_keys(options) | {OPTION_KEYS[name] for name in options.given(OPTION_KEYS)}
    kept = {key: getattr(saved.hardware, key) for key in NEW_HARDWARE if f"hardware.{key}" not in keys}
    return config.model_copy(update={"hardware": config.hardware.model_copy(update=kept)})


def _pipe_layer(options: Options) -> Layer:
    """--augpipe switches each transform on or off."""
    if options.augpipe is None:
        return {}
    if options.augpipe not in PIPES:
        raise UserError(f"--augpipe '{options.augpipe}' is unknown{nearest(options.augpipe, PIPES)}")
    return {"augment": {"transforms": multipliers(options.augpipe)}}


def _option_layer(options: Options) -> Layer:
    if options.aug is not None and options.aug not in AUG_MODES:
        raise UserError(f"--aug '{options.aug}' is unknown{nearest(options.aug, AUG_MODES)}")
    layers = [nested(OPTION_KEYS[name], value) for name, value in options.given(OPTION_KEYS).items()]
    layers.append(_pipe_layer(options))
    if options.batch is not None:
        layers.append(nested("schedule.batch_gpu", max(options.batch // options.processes, 1)))
    if options.metrics is not None:
        names = [name.strip() for name in options.metrics.split(",") if name.strip()]
        layers.append(nested("schedule.metrics", [] if names == ["none"] else names))
    if options.log is not None:
        names = [name.strip() for name in options.log.split(",") if name.strip()]
        layers.append(nested("schedule.trackers", [] if names == ["none"] else names))
    if options.resume is not None:  # weights that have learnt already need no short average at first, but p soon
        layers.append({"resume": _place(options.resume), "ema": {"rampup": None}, "augment": {"kimg": 100}})
    if options.fp32:
        layers.append({"networks": {"num_fp16_res": 0, "conv_clamp": None}})
    if options.bf16 is not None:
        layers.append(nested("networks.half_type", "bfloat16" if options.bf16 else "float16"))
    if options.nobench is not None:
        layers.append(nested("hardware.benchmark", not options.nobench))
    if options.sel_max_res is not None:
        check_digits(options.sel_max_res, "--sel-max-res")
        limit = None if options.sel_max_res == "all" else options.sel_max_res
        layers.append(nested("generator.encoding.max_resolution", limit))
    return merge(*layers)


def _set_layer(text: str) -> Layer:
    """One KEY=VALUE of --set; the value is YAML."""
    key, equals, value = text.partition("=")
    where = f"--set {shown(text)}"
    if not equals:
        raise UserError(f"{where}: write it as KEY=VALUE, for example loss.r1_gamma=1")
    layer = nested(key.strip(), read_value(value, where))
    check_keys(layer, where)
    for leaf in leaves(layer):
        if leaf in DECIDED:
            raise UserError(f"{where}: {leaf} follows from {DECIDED[leaf]} and cannot be set by itself")
    return layer


def _facts_layer(options: Options, facts: DataFacts) -> Layer:
    condition = condition_of(options)
    image = {
        "img_resolution": facts.resolution,
        "img_channels": facts.num_channels,
        "c_dim": facts.label_dim if condition else 0,
        "c_values": len(facts.class_names) if condition in ("label-map", "text") else 0,
    }
    return {
        "name": _run_name(options, facts),
        "plugins": plugins_wanted(),
        "method": options.method,
        "data": {
            "path": os.path.abspath(options.data or ""),
            "class_names": facts.class_names if condition else (),
            "label_examples": facts.label_examples if condition else (),
        },
        "generator": image,
        "discriminator": image,
        "hardware": {"gpus": options.processes},
    }


def overridden(saved: RunConfig, options: Options) -> RunConfig:
    """A saved configuration with the options that were given. Raises UserError as resolve does."""
    _check_processes(options)
    layers = [saved.model_dump(mode="json"), _option_layer(replace(options, resume=None))]
    layers += map(_set_layer, options.settings)
    if options.gpus is not None or options.procs is not None:
        layers.append({"hardware": {"gpus": options.processes}})
        layers.append({"schedule": _divided(merge(*layers)["schedule"], options.processes)})
    config = build(merge(*layers), {OPTION_KEYS[name]: spelt(name) for name in options.given(OPTION_KEYS)})
    _check_augmentation(options, config)
    return config


def _place(network: str) -> str:
    """What --resume names, from wherever the run goes on: an address on the web, or a whole path."""
    return address_in(network) or os.path.abspath(network)


def _run_name(options: Options, facts: DataFacts) -> str:
    """Data set, configuration, method and what else tells runs apart, fit for a file name."""
    parts = [facts.name, "cond" if options.cond else "", "mirror" if options.mirror else ""]
    parts += [f"subset{options.subset}"] if options.subset is not None else []
    parts += [options.cfg or "", options.method or ""]
    parts += [f"{name}{value:g}" for name, value in options.given(["gamma", "kimg", "batch", "freezed"]).items()]
    parts += [options.aug if options.aug in ("ada", "fixed") else "", options.augpipe or ""]
    parts += [f"{name}{value:g}" for name, value in options.given(["p", "target"]).items()]
    parts += ["resume" if options.resume is not None else ""]
    return re.sub(r"[^\w.-]", "_", "-".join(part for part in parts if part))


def _check_processes(options: Options) -> None:
    if options.gpus is not None and options.gpus < 1:
        raise UserError(f"--gpus={options.gpus}: give 1 or more; to do without a GPU, --device=cpu")
    if options.procs is not None and options.procs < 1:
        raise UserError(f"--procs={options.procs}: give 1 or more")
    if options.procs is not None and options.gpus is not None:
        raise UserError("--procs is for CPUs, --gpus for GPUs; give one of them")


def _check_augmentation(options: Options, config: RunConfig) -> None:
    """Raises UserError for options of a mode of augmentation other than the one in force."""
    mode = config.augment.mode
    meant = {"p": ("fixed",), "target": ("ada",), "augpipe": ("ada", "fixed")}
    for name, value in options.given(meant).items():
        if mode not in meant[name]:
            wanted = " or ".join(f"--aug={one}" for one in meant[name])
            raise UserError(f"--{name}={value} needs {wanted}; augmentation is {mode} here")
    if mode == "fixed" and options.p is None and config.augment.p == 0:
        raise UserError("--aug=fixed needs its probability; add --p, for example --p=0.2")
    place = what_says_where(config.data)
    if mode != "noaug" and place is not None and geometry.is_wanted(config.augment.transforms):
        raise UserError(
            f"--aug={mode} would move what is in a picture, and its {place} says where it is; "
            "add --augpipe=color, or leave --aug out"
        )


def what_says_where(data: DataConfig) -> str | None:
    """The condition that would have to move with its picture, in words; None where there is no such one."""
    return {"label-map": "label map", "text": "caption"}.get(data.condition) if data.conditional else None


def _check_steering_options(options: Options, design: Layer) -> None:
    """Raises UserError for options about heatmaps when the generator takes none."""
    if design["generator"].get("encoding") is not None:
        return
    given = options.given(["sel_max_res", "heatmap_mode", "sampler", "align", "tau"])
    wanted = next((name for name, value in given.items() if value != 0), None)
    if wanted is not None:
        off = " --sel=none" if options.sel == "none" else ""
        raise UserError(
            f"{spelt(wanted)} needs heatmaps, and --method={options.method}{off} has none; "
            "choose another method, or --sel=norm"
        )


def _check_alignment(config: RunConfig) -> None:
    """Alignment takes heatmaps, and a D large enough to have features at their levels."""
    if config.align.weight == 0:
        return
    if config.generator.encoding is None:
        raise UserError("align.weight is not 0, but the generator takes no heatmaps; set it to 0, or use --sel=none")
    resolution, least = config.generator.img_resolution, ALIGNABLE_RESOLUTION
    if resolution < least:
        raise UserError(
            f"{config.data.path} has images of {resolution}x{resolution}; alignment needs {least}x{least} or more: "
            "use larger images, --align=0 or --method=stylegan2"
        )
    there = BACKBONES[config.discriminator.backbone].features(config.discriminator)
    wanted = (r for r, weight in zip(LEVEL_RESOLUTIONS, config.align.level_weights, strict=True) if weight > 0)
    missing = ", ".join(f"{r}x{r}" for r in wanted if r not in there)
    if missing:
        raise UserError(
            f"alignment reads D's features of 4x4, 8x8 and 16x16, and for images of {resolution}x{resolution} "
            f"{config.discriminator.backbone} has none of {missing}: set align.level_weights to 0 there, or --align=0"
        )


def _check_data(config: RunConfig, facts: DataFacts) -> None:
    if config.data.conditional and facts.label_dim == 0:
        raise UserError(f"--cond: {config.data.path} has no labels; add them to its dataset.json, or leave out --cond")
    if (config.data.subset or 0) > facts.size:
        raise UserError(f"--subset={config.data.subset}: {config.data.path} has only {counted(facts.size, 'image')}")
