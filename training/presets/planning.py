"""From the options of train.py to what is to be trained, and where. Writes nothing."""

import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import click
import torch

from dnnlib.errors import UserError
from dnnlib.words import counted
from torch_utils import distributed
from torch_utils.devices import choose_device
from torch_utils.distributed import World
from training.config import Condition, HardwareConfig, RunConfig
from training.cost import summary as cost
from training.data.dataset import ImageDataset
from training.growth import level_at
from training.presets.changes import changes_of_method
from training.presets.options import Options
from training.presets.resolve import (
    DataFacts,
    assumed_condition,
    condition_of,
    keep_saved_hardware,
    overridden,
    resolve,
    what_says_where,
)
from training.runs import directory as run_dir
from training.runs import resume_option
from training.runs.directory import Progress, RunDir
from training.runs.resume_option import Kind
from training.runs.snapshot import open_snapshot

GIB = 2**30
FEW_IMAGES = 2000  # fewer are said; with a few thousand, augmentation still helps


def with_launcher(options: Options) -> Options:
    """Under torchrun, its number of processes is ours. Raises UserError when --gpus or --procs says another."""
    if not distributed.is_launched():
        return options
    count = distributed.launched_size()
    for name, value in options.given(["gpus", "procs"]).items():
        if value != count:
            raise UserError(f"--{name}={value}, but torchrun started {count} processes; leave it out")
    return replace(options, gpus=count, procs=None)


class Plan(NamedTuple):
    """What to train, and where; facts of its images where they were looked at."""

    config: RunConfig
    place: RunDir | None = None
    facts: DataFacts | None = None

    @property
    def images(self) -> int | None:
        """Real images that the run will have, mirrored ones counted."""
        if self.facts is None:
            return None
        data = self.config.data
        return min(data.subset or self.facts.size, self.facts.size) * (2 if data.mirror else 1)


def plan(outdir: str | None, new: bool, options: Options) -> Plan:
    """Raises UserError when something is missing or does not fit together."""
    if options.resume == resume_option.LATEST:
        options = replace(options, resume=str(resume_option.latest_run(needed_outdir(outdir))))
    source = options.resume
    if (
        source is not None
        and (options.data is None or not resume_option.is_gone(source))
        and resume_option.source_kind(source) is Kind.RUN
    ):
        if new:
            raise UserError(f"--new begins a run, and {source} is one to go on with; leave one of them out")
        return plan_to_go_on(Path(source), options)
    config, facts = configure(options)
    place = distributed.current().first(lambda: run_dir.find(needed_outdir(outdir), config, new))
    if place.progress is Progress.STARTED:
        config = keep_saved_hardware(config, run_dir.load_config(place.path), options)
    if config.resume is not None and (place.progress is Progress.NEW or not resume_option.is_gone(config.resume)):
        check_transfer(config, config.resume)
    return Plan(config, place, facts)


def assumed(options: Options) -> Plan:
    """What a run without --data would be, on the images that --cfg is made for."""
    facts = assumed_condition(cost.assumed_facts(options.cfg or "auto"), condition_of(options))
    return Plan(resolve(replace(options, data="DATA"), facts), None, facts)


def needed_outdir(outdir: str | None) -> str:
    if not outdir:
        raise UserError("--outdir is missing; give a directory for runs, for example --outdir=runs")
    try:
        os.path.abspath(outdir).encode()
    except UnicodeEncodeError as error:  # safetensors opens no such file
        raise UserError(f"--outdir={outdir}: its name is not valid UTF-8; choose another one") from error
    return outdir


def plan_to_go_on(path: Path, options: Options) -> Plan:
    """A run's own configuration with the options given; with --cfg or --method the whole command, which has to agree.

    --data alone says where the run's images are now.
    """
    saved = run_dir.load_config(path)
    named = options.given(["cfg", "method"])
    if options.data is None and named:
        (name, value), *_ = named.items()
        raise UserError(f"--{name}={value}: {path} has its settings already; leave it out, or give --data, too")
    facts, same = None, run_dir.moved(saved, options.data)
    if named:
        config, facts = configure(replace(options, resume=saved.resume))  # which has settings of its own
    else:
        config = overridden(same, options)
        if options.data is not None:
            facts = look_at(options.data, config.data.condition if config.data.conditional else None)
    config = config.model_copy(update={"name": saved.name, "resume": saved.resume, "ema": saved.ema})
    return Plan(config, run_dir.going_on(path, config), facts)


def configure(options: Options) -> tuple[RunConfig, DataFacts]:
    """Look at what the options name, and resolve them. Raises UserError when something is amiss."""
    if not options.data:
        raise UserError("--data is missing; give a zip or folder of images made by dataset_tool.py")
    facts = look_at(options.data, condition_of(options))
    return resolve(options, facts), facts


def remarks(plan: Plan, options: Options) -> list[str]:
    """What whoever starts this run should know of its settings and its data."""
    return [*_remarks_on_method(plan.config, options), *_remarks_on_growth(plan), *_remarks_on_data(plan)]


def _remarks_on_method(config: RunConfig, options: Options) -> list[str]:
    """What --cfg changes of --method."""
    changes = changes_of_method(config, options.cfg) if options.cfg is not None else []
    return [f"--cfg={options.cfg} changes --method={config.method}: {', '.join(changes)}"] if changes else []


def _remarks_on_growth(plan: Plan) -> list[str]:
    """That a run is too short for its networks to grow up, or that growth begins anew from a snapshot."""
    config, begins = plan.config, plan.place is None or plan.place.progress is Progress.NEW
    if config.growth is None:
        return []
    size, kimg = config.generator.img_resolution, config.schedule.total_kimg
    level, last = level_at(config.growth, round(1000 * kimg), size), size.bit_length() - 3
    remarks = []
    if level < last:
        grown = 4 << int(level)
        remarks.append(
            f"after {kimg:g} kimg the networks have grown to {grown}x{grown} of {size}x{size} only: give more --kimg, "
            "or less growth.stable_kimg and growth.fade_kimg"
        )
    if begins and config.resume is not None and resume_option.source_kind(config.resume) is not Kind.CHECKPOINT:
        start = 4 << int(level_at(config.growth, 0, size))
        remarks.append(f"growth begins anew: {config.resume} goes on at {start}x{start}")
    return remarks


def _remarks_on_data(plan: Plan) -> list[str]:
    if plan.images is None or plan.images >= FEW_IMAGES or plan.config.augment.mode != "noaug":
        return []
    mirror = "" if plan.config.data.mirror else "; --mirror=1 doubles them where left and right do not matter"
    advice = "--aug=ada" if what_says_where(plan.config.data) is None else "--aug=ada --augpipe=color"
    few = f"only {counted(plan.images, 'image')}"
    return [f"{few}: D may learn them by heart; use {advice} (docs/few-images.md){mirror}"]


def look_at(data: str, condition: Condition | None) -> DataFacts:
    """What a configuration depends on. Raises UserError when the images or, with `condition`, these are not usable."""
    dataset = ImageDataset(data, use_labels=bool(condition), condition=condition or "labels", skip_damaged=True)
    said = [f"{complaint}; until then another image takes its place" for complaint in dataset.damage.found.values()]
    if dataset.has_labels and not condition:
        said.append(f"{data} has labels, which are left aside without --cond=1")
    if distributed.current().is_first:
        for remark in [*said, *dataset.remarks()]:
            click.echo(remark, err=True)
    return DataFacts(dataset.name, dataset.resolution, dataset.num_channels, len(dataset), *dataset.label_facts())


def check_transfer(config: RunConfig, source: str) -> None:
    """The `source` to start from must be readable, of images like these; a checkpoint, of networks like these."""
    kind, old = resume_option.source_kind(source), open_snapshot(source).config
    if kind is Kind.CHECKPOINT:
        _check_branch(old, config)
    there, here = _images(old), _images(config)
    if there != here:
        raise UserError(f"{source} makes images of {there}; --data has {here}")


def _images(config: RunConfig) -> str:
    settings = config.generator
    return f"{settings.img_resolution}x{settings.img_resolution}, {counted(settings.img_channels, 'channel')}"


def _check_branch(old: RunConfig, config: RunConfig) -> None:
    """A branch takes over weights and optimizers as they are, so that its networks must have the same shapes."""
    if _images(old) != _images(config) or cost.shapes(old) == cost.shapes(config):
        return
    others = tuple(name for name in RunConfig.model_fields if name not in ("generator", "discriminator"))
    difference = run_dir.first_difference(old, config, others)
    raise UserError(
        f"{config.resume} is a checkpoint, and a branch keeps its networks, but {difference}; "
        "give the settings that it had, or start from a network-snapshot-*.safetensors, of which all that fits is taken"
    )


def check_hardware(hardware: HardwareConfig, options: Options, world: World) -> None:
    """Raises UserError when this machine does not have what the run asks for."""
    kind = choose_device(hardware.device).type
    if world.size > 1:
        return  # every process has found its device
    available = torch.cuda.device_count()
    if options.procs is not None and kind == "cuda":
        raise UserError(f"--procs={options.procs} is for the CPU; use --gpus, or --device=cpu")
    gpus = hardware.gpus if kind == "cuda" else options.gpus or 1
    if gpus > 1 and (kind == "cpu" or available < gpus):
        found = f"but PyTorch sees {counted(available, 'CUDA device')} here"
        if options.gpus is None:
            raise UserError(f"this run computes on {gpus} GPUs, {found}; go on with fewer by --gpus={available}")
        raise UserError(f"--gpus={options.gpus}, {found}; use --gpus=1 (on CPUs --procs)")


def check_memory(config: RunConfig) -> None:
    """Raises UserError when the networks alone are larger than the memory of the device."""
    device = choose_device(config.hardware.device)
    if device.type == "cuda":
        there = torch.cuda.get_device_properties(device).total_memory
    else:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // config.hardware.gpus
    needed = cost.least_memory(config)
    if needed > there:
        raise UserError(
            f"networks, optimizers and images need {needed / GIB:,.1f} GiB at least, and a process has "
            f"{there / GIB:,.1f}: lower networks.channel_max, generator.z_dim, generator.w_dim or --batch"
        )
