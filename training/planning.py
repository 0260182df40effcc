"""From the options of train.py to what is to be trained, and where. Writes nothing."""

from dataclasses import replace
from pathlib import Path

import click
import torch

from dnnlib.errors import UserError
from torch_utils import distributed
from torch_utils.devices import choose_device
from torch_utils.distributed import World
from training import cost
from training.config import HardwareConfig, RunConfig
from training.data.dataset import ImageDataset
from training.options import Options
from training.presets.resolve import DataFacts, overridden, resolve
from training.runs import directory as run_dir
from training.runs import resume
from training.runs.checkpoint import read_about
from training.runs.directory import RunDir
from training.runs.snapshot import open_snapshot


def with_launcher(options: Options) -> Options:
    """Under torchrun, its number of processes is ours. Raises UserError when --gpus or --procs says another."""
    if not distributed.is_launched():
        return options
    count = distributed.launched_size()
    for name, value in options.given(["gpus", "procs"]).items():
        if value != count:
            raise UserError(f"--{name}={value}, but torchrun started {count} processes; leave it out")
    return replace(options, gpus=count, procs=None)


def plan(outdir: str | None, new: bool, options: Options) -> tuple[RunConfig, RunDir]:
    """What to train, and where. Raises UserError when something is missing or does not fit together."""
    if options.resume is not None:
        if options.resume == resume.LATEST:
            options = replace(options, resume=str(resume.latest_run(needed_outdir(outdir))))
        if resume.kind_of(options.resume) is resume.Kind.RUN:
            return plan_to_go_on(Path(options.resume), options)
    if not options.data:
        raise UserError("--data is missing; give a zip or folder of images made by dataset_tool.py")
    config = configure(options)
    return config, distributed.current().first(lambda: run_dir.find(needed_outdir(outdir), config, new))


def assumed(options: Options) -> tuple[RunConfig, DataFacts]:
    """What a run without --data would be, and the images that --cfg is made for."""
    facts = cost.assumed_facts(options.cfg or "auto")
    return configure(replace(options, data="DATA"), facts), facts


def needed_outdir(outdir: str | None) -> str:
    if not outdir:
        raise UserError("--outdir is missing; give a directory for runs, for example --outdir=runs")
    return outdir


def plan_to_go_on(path: Path, options: Options) -> tuple[RunConfig, RunDir]:
    """A run's own configuration with the options given, or with --data the whole command, which has to agree."""
    saved = run_dir.load_config(path)
    named = options.given(["cfg", "method"])
    if options.data is None and named:
        (name, value), *_ = named.items()
        raise UserError(f"--{name}={value}: {path} has its settings already; leave it out, or give --data, too")
    config = overridden(saved, options) if options.data is None else configure(replace(options, resume=None))
    config = config.model_copy(update={"name": saved.name, "resume": saved.resume, "ema": saved.ema})
    return config, run_dir.going_on(path, config)


def configure(options: Options, facts: DataFacts | None = None) -> RunConfig:
    """Look at what the options name (at the data unless `facts` are given), and resolve them.

    Raises UserError when something is amiss.
    """
    config = resolve(options, facts or look_at(options.data, bool(options.cond)))
    if config.resume is not None:
        check_transfer(config)
    return config


def look_at(data: str, cond: bool) -> DataFacts:
    """What a configuration depends on. Raises UserError when the images, or with `cond` the labels, are not usable."""
    dataset = ImageDataset(data, use_labels=cond, skip_damaged=True)
    for complaint in dataset.damage.found.values():
        click.echo(f"{complaint}; until then another image takes its place", err=True)
    if dataset.has_labels and not cond:
        click.echo(f"{data} has labels, which are left aside without --cond=1", err=True)
    return DataFacts(dataset.name, dataset.resolution, dataset.num_channels, len(dataset), dataset.label_dim)


def check_transfer(config: RunConfig) -> None:
    """What to start from must be readable, and of images like these."""
    if resume.kind_of(config.resume) is resume.Kind.CHECKPOINT:
        old = RunConfig.model_validate(read_about(Path(config.resume))["config"]).generator
    else:
        old = open_snapshot(config.resume).config.generator
    new = config.generator
    if (old.img_resolution, old.img_channels) != (new.img_resolution, new.img_channels):
        raise UserError(
            f"{config.resume} makes images of {old.img_resolution}x{old.img_resolution}, {old.img_channels} channels; "
            f"--data has {new.img_resolution}x{new.img_resolution}, {new.img_channels} channels"
        )


def check_hardware(hardware: HardwareConfig, options: Options, world: World) -> None:
    """Raises UserError when this machine does not have what the run asks for."""
    kind = choose_device(hardware.device).type
    if world.size > 1:
        return  # every process has found its device
    available = torch.cuda.device_count()
    if options.procs is not None and kind == "cuda":
        raise UserError(f"--procs={options.procs} is for the CPU; use --gpus, or --device=cpu")
    if (options.gpus or 1) > 1 and (kind == "cpu" or available < options.gpus):
        raise UserError(
            f"--gpus={options.gpus}, but PyTorch sees {available} CUDA devices here; use --gpus=1 (on CPUs --procs)"
        )
