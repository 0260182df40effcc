"""Train a GAN whose pictures can be steered with heatmaps.

\b
    python dataset_tool.py toy --dest=data/critters.zip
    python train.py --outdir=runs --data=data/critters.zip --cfg=demo

The same command again continues its run. What an option leaves open, --cfg and --method decide.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
import yaml

from dnnlib.cli import Command
from dnnlib.errors import UserError
from metrics import registry
from torch_utils.devices import choose_device
from training import run_dir
from training.config import HardwareConfig, RunConfig
from training.dataset import ImageDataset
from training.presets import DataFacts, Options, known_names, resolve
from training.run_dir import Progress
from training.snapshot import find_snapshot, open_snapshot

YES_NO = {"type": bool, "metavar": "BOOL"}


@click.command(cls=Command, help=__doc__)
# What and where
@click.option("--outdir", metavar="DIR",
              help="Where each run gets a numbered directory; or the directory of one run, to go on with it. Required.")
@click.option("--data", metavar="PATH", help="Training images, a zip or folder from dataset_tool.py. Required.")
@click.option("--cfg", default="auto", show_default=True, metavar="NAME",
              help=f"Base configuration: {', '.join(known_names())}.")
@click.option("--method", default="spatialgan", show_default=True, metavar="NAME",
              help=f"How pictures are steered: {', '.join(known_names('methods'))}.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="Set any key that --dry-run prints, for example loss.pl_weight=0. Can be repeated.")
@click.option("--new", is_flag=True, help="Begin a new run even where one with these very settings exists.")
@click.option("-n", "--dry-run", is_flag=True, help="Print the configuration and the run directory; write nothing.")
# Data
@click.option("--cond", help="Learn the classes of a labelled data set.", **YES_NO)
@click.option("--mirror", help="Show every image flipped horizontally, too.", **YES_NO)
@click.option("--subset", type=int, metavar="N", help="Use only N images, drawn at random.")
# Training
@click.option("--kimg", type=float, metavar="N", help="Stop after N thousand real images.")
@click.option("--batch", type=int, metavar="N", help="Images in a training step, over all GPUs.")
@click.option("--gamma", type=float, metavar="WEIGHT", help="Weight of the R1 regularisation of D.")
@click.option("--seed", type=int, metavar="N", help="Seed of everything random.")
@click.option("--aug", metavar="MODE", help="Augmentation of what D sees: noaug; ada and fixed are yet to come.")
@click.option("--p", type=float, metavar="P", help="Probability of --aug=fixed (yet to come).")
@click.option("--target", type=float, metavar="VALUE", help="What --aug=ada aims at (yet to come).")
@click.option("--augpipe", metavar="NAME", help="Which kinds of augmentation (yet to come).")
# Steering
@click.option("--sel", metavar="norm|none", help="Spatial encoding: how G hears heatmaps, or that it does not.")
@click.option("--sel-max-res", metavar="N|all", help="Layers up to this resolution hear them.")
@click.option("--heatmap-mode", metavar="coarse|fine",
              help="Heatmaps get to a layer's size before their convolutions, or after.")
@click.option("--sampler", metavar="paper|released", help="How random layouts are drawn.")
@click.option("--align", type=float, metavar="WEIGHT",
              help="Weight of the alignment of D's attention with the layout; 0 switches it off.")
@click.option("--tau", type=float, metavar="VALUE", help="Alignment forgives differences up to this.")
# Transfer
@click.option("--resume", metavar="PATH", help="Start from the weights of a snapshot, or of a run directory's newest.")
@click.option("--freezed", type=int, metavar="N", help="Keep the N layers of D nearest to the image as they are.")
# Reports
@click.option("--snap", type=int, metavar="TICKS", help="Write snapshot, checkpoint and pictures so often.")
@click.option("--metrics", metavar="NAME,...|none", help="What to measure at every snapshot.")
# Hardware
@click.option("--device", metavar="auto|cuda|cpu", help="Where to compute.")
@click.option("--gpus", type=int, default=1, show_default=True, metavar="N", help="How many GPUs.")
@click.option("--workers", type=int, metavar="N", help="How many processes read images.")
@click.option("--fp32", help="Full precision in all layers.", **YES_NO)
@click.option("--nhwc", help="Keep feature maps with channels last; without the option, on CPUs only.", **YES_NO)
@click.option("--allow-tf32", help="Let NVIDIA GPUs round float32 to TF32.", **YES_NO)
@click.option("--nobench", help="Keep cuDNN from timing its algorithms.", **YES_NO)
@click.option("--ops", metavar="auto|native|pytorch|reference",
              help="Which versions of the operators: the fastest, the native ones, PyTorch's, or the plain yardstick.")
def main(outdir: str | None, data: str | None, new: bool, dry_run: bool, **named: Any) -> None:
    if not data:
        raise UserError("--data is missing; give a zip or folder of images made by dataset_tool.py")
    if not outdir:
        raise UserError("--outdir is missing; give a directory for runs, for example --outdir=runs")
    config = configure(Options(data=data, **named))
    place = run_dir.find(outdir, config, new)
    if dry_run:
        click.echo(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), nl=False)
        click.echo(f"# run directory ({place.progress.value}): {place.path}")
        return
    check_hardware(config.hardware)
    if place.progress is Progress.FINISHED:
        click.echo(f"{place.path} has these very settings and is finished; --new trains again")
        return
    if place.progress is Progress.STARTED:
        click.echo(f"going on with {place.path}, which has these very settings; --new begins a new run")
    start(config, run_dir.create(place, config))


def start(config: RunConfig, path: Path) -> None:
    """Train. The loop with its logging and plotting is imported only where there is something to train."""
    from training.loop import train

    train(config, path)


def configure(options: Options) -> RunConfig:
    """Look at what the options name, and resolve them. Raises UserError when something is amiss."""
    if options.resume is not None:
        options = replace(options, resume=str(find_snapshot(Path(options.resume))))
    config = resolve(options, look_at(options.data, bool(options.cond)))
    registry.check(config.schedule.metrics, config)
    if config.resume is not None:
        check_transfer(config)
    return config


def look_at(data: str, cond: bool) -> DataFacts:
    """What a configuration depends on. Raises UserError when the images, or with `cond` the labels, are not usable."""
    dataset = ImageDataset(data, use_labels=cond)
    if dataset.has_labels and not cond:
        click.echo(f"{data} has labels, which are left aside without --cond=1", err=True)
    return DataFacts(dataset.name, dataset.resolution, dataset.num_channels, len(dataset), dataset.label_dim)


def check_transfer(config: RunConfig) -> None:
    """The snapshot to start from must be readable, and of images like these."""
    old, new = open_snapshot(config.resume).config.generator, config.generator
    if (old.img_resolution, old.img_channels) != (new.img_resolution, new.img_channels):
        raise UserError(
            f"{config.resume} makes images of {old.img_resolution}x{old.img_resolution}, {old.img_channels} channels; "
            f"--data has {new.img_resolution}x{new.img_resolution}, {new.img_channels} channels"
        )


def check_hardware(hardware: HardwareConfig) -> None:
    """Raises UserError when this machine does not have what the run asks for."""
    choose_device(hardware.device)
    available = torch.cuda.device_count()
    if available < hardware.gpus > 1:
        raise UserError(f"--gpus={hardware.gpus}, but PyTorch sees {available} CUDA devices here; use --gpus=1")
    if hardware.gpus > 1:
        raise UserError(f"--gpus={hardware.gpus}: training on several GPUs is not there yet; use --gpus=1")


if __name__ == "__main__":
    main()
