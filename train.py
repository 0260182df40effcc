"""Train a GAN whose pictures can be steered with heatmaps.

\b
    python dataset_tool.py toy --dest=data/critters.zip
    python train.py --outdir=runs --data=data/critters.zip --cfg=demo

The same command again continues its run; so does --resume with a run's directory alone. What an option leaves open,
--cfg and --method decide. For several machines: torchrun --nnodes=... --nproc-per-node=... train.py ...
"""

import textwrap
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
import yaml

from dnnlib.cli import Command
from dnnlib.errors import UserError
from metrics import registry
from torch_utils import distributed
from torch_utils.devices import choose_device
from torch_utils.distributed import World
from torch_utils.launch import launch
from training import cost
from training.augment.pipes import PIPES
from training.config import SAMPLERS, HardwareConfig, RunConfig
from training.data.dataset import ImageDataset
from training.presets.objects import SEL_KINDS
from training.presets.resolve import DataFacts, Options, known_names, overridden, resolve
from training.runs import directory as run_dir
from training.runs import resume
from training.runs.checkpoint import read_about
from training.runs.directory import Progress, RunDir
from training.runs.snapshot import open_snapshot

YES_NO = {"type": bool, "metavar": "BOOL"}


@click.command(cls=Command, help=__doc__)
# What and where
@click.option("--outdir", metavar="DIR",
              help="Where each run gets a numbered directory; or the directory of one run, to go on with it. Required.")
@click.option("--data", metavar="PATH", help="Training images, a zip or folder from dataset_tool.py. Required.")
@click.option("--cfg", metavar="NAME", help=f"Base configuration: {', '.join(known_names())}.  [default: auto]")
@click.option("--method", metavar="NAME",
              help=f"How pictures are steered: {', '.join(known_names('methods'))}; or a row of the papers' tables "
                   "(docs/reproduce.md).  [default: spatialgan]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="Set any key that --dry-run prints, for example loss.pl_weight=0. Can be repeated.")
@click.option("--new", is_flag=True, help="Begin a new run even where one with these very settings exists.")
@click.option("-n", "--dry-run", is_flag=True, help="Print the configuration and what it takes; write nothing.")
# Data
@click.option("--cond", help="Learn the classes of a labelled data set.", **YES_NO)
@click.option("--mirror", help="Show every image flipped horizontally, too.", **YES_NO)
@click.option("--subset", type=int, metavar="N", help="Use only N images, drawn at random.")
# Training
@click.option("--kimg", type=float, metavar="N", help="Stop after N thousand real images.")
@click.option("--batch", type=int, metavar="N", help="Images in a training step, over all GPUs.")
@click.option("--gamma", type=float, metavar="WEIGHT", help="Weight of the R1 regularisation of D.")
@click.option("--seed", type=int, metavar="N", help="Seed of everything random.")
@click.option("--aug", metavar="MODE",
              help="Augment what D sees: noaug (the default), ada (as strongly as needed) or fixed.")
@click.option("--p", type=float, metavar="P", help="Probability of --aug=fixed, from 0 to 1.")
@click.option("--target", type=float, metavar="VALUE",
              help="Mean sign of D's logits of real images that --aug=ada holds.")
@click.option("--augpipe", metavar="NAME", help=f"Which transforms: {', '.join(PIPES)}.")
# Steering
@click.option("--sel", metavar="|".join(SEL_KINDS[::-1]),
              help="Spatial encoding: how G hears heatmaps, or that it does not.")
@click.option("--sel-max-res", metavar="N|all", help="Layers up to this resolution hear them.")
@click.option("--heatmap-mode", metavar="coarse|fine",
              help="Heatmaps get to a layer's size before their convolutions, or after.")
@click.option("--sampler", metavar="NAME", help=f"How random layouts are drawn: {', '.join(SAMPLERS)}.")
@click.option("--align", type=float, metavar="WEIGHT",
              help="Weight of the alignment of D's attention with the layout; 0 switches it off.")
@click.option("--tau", type=float, metavar="VALUE", help="Alignment forgives differences up to this.")
# Going on, and transfer
@click.option("--resume", metavar="latest|PATH",
              help="Go on with the latest run in --outdir, or with a run directory; branch off from a checkpoint; or "
                   "start from the weights of a snapshot.")
@click.option("--continue", "go_on", is_flag=True, help="The same as --resume=latest.")
@click.option("--freezed", type=int, metavar="N", help="Keep the N layers of D nearest to the image as they are.")
# Reports
@click.option("--snap", type=int, metavar="TICKS", help="Write snapshot, checkpoint and pictures so often.")
@click.option("--metrics", metavar="NAME,...|none", help="What to measure at every snapshot.")
# Hardware
@click.option("--device", metavar="auto|cuda|cpu", help="Where to compute.")
@click.option("--gpus", type=int, metavar="N", help="How many GPUs, of this machine.  [default: 1]")
@click.option("--procs", type=int, metavar="N", help="How many processes, on the CPU.  [default: 1]")
@click.option("--workers", type=int, metavar="N", help="How many processes read images.")
@click.option("--fp32", help="Full precision in all layers.", **YES_NO)
@click.option("--bf16", help="bfloat16 instead of float16, where half precision is used.", **YES_NO)
@click.option("--nhwc", help="Keep feature maps with channels last; without the option, on CPUs only.", **YES_NO)
@click.option("--allow-tf32", help="Let NVIDIA GPUs round float32 to TF32.", **YES_NO)
@click.option("--nobench", help="Keep cuDNN from timing its algorithms.", **YES_NO)
@click.option("--compile", metavar="no|default|reduce-overhead",
              help="torch.compile D where one derivative of it is taken; reduce-overhead: with CUDA graphs.")
@click.option("--ops", metavar="auto|native|pytorch|reference",
              help="Which versions of the operators: the fastest, the native ones, PyTorch's, or the plain yardstick.")
def main(outdir: str | None, new: bool, dry_run: bool, go_on: bool, **named: Any) -> None:
    launched = distributed.is_launched()
    options = Options(**{name: value for name, value in named.items() if value is not None})
    options = with_launcher(replace(options, resume=resume.LATEST) if go_on else options)
    with distributed.joined(options.device or "auto") if launched and not dry_run else nullcontext():
        world = distributed.current()
        if dry_run:
            preview(outdir, new, options)
            return
        config, place = plan(outdir, new, options)
        check_hardware(config.hardware, options, world)
        if place.progress is Progress.FINISHED:
            say(f"{place.path} has these very settings and is finished; --new trains again")
            return
        world.first(lambda: registry.fetch_weights(config.schedule.metrics))  # now, not at the first snapshot
        if place.progress is Progress.STARTED:
            say(f"going on with {place.path}; --new begins a new run")
        path = world.first(lambda: run_dir.create(place, config))
        if launched:
            start(config, path)
        else:
            launch(start, config.hardware.gpus, config.hardware.device, config, path)


def preview(outdir: str | None, new: bool, options: Options) -> None:
    """Print what a run would be and take, as YAML with comments; works without data where --cfg says the image size."""
    assumed = place = None
    if options.resume is not None or (options.data and outdir):
        config, place = plan(outdir, new, options)
    else:
        assumed = None if options.data else cost.assumed_facts(options.cfg or "auto")
        config = configure(replace(options, data=options.data or "DATA"), assumed)
    click.echo(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), nl=False)
    click.echo(textwrap.indent(cost.table(cost.summarize(config)), "# ", lambda line: True))
    if assumed is not None:
        side = assumed.resolution
        click.echo(f"# no --data: RGB images of {side}x{side} are assumed, as for --cfg={options.cfg}, and no labels")
    if place is not None:
        click.echo(f"# run directory ({place.progress.value}): {place.path}")


def start(config: RunConfig, path: Path) -> None:
    """Train. The loop with its logging and plotting is imported only where there is something to train."""
    from training.loop import train

    train(config, path)


def say(text: str) -> None:
    """On the first rank."""
    if distributed.current().is_first:
        click.echo(text)


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
    registry.check(config.schedule.metrics, config)
    return config, run_dir.going_on(path, config)


def configure(options: Options, facts: DataFacts | None = None) -> RunConfig:
    """Look at what the options name (at the data unless `facts` are given), and resolve them.

    Raises UserError when something is amiss.
    """
    config = resolve(options, facts or look_at(options.data, bool(options.cond)))
    registry.check(config.schedule.metrics, config)
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
    for remark in dataset.remarks():
        click.echo(remark, err=True)
    return DataFacts(dataset.name, dataset.resolution, dataset.num_channels, len(dataset), *dataset.label_facts())


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


if __name__ == "__main__":
    main()
