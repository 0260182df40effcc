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
from typing import TYPE_CHECKING, Any

import click
import yaml

from dnnlib.cli import PATH, Command, option, options_of, plugin_option
from dnnlib.errors import UserError
from training.presets.options import CONFIGURATION, DATA, TRANSFER, Options

if TYPE_CHECKING:  # torch takes seconds to import: what needs it is imported where it is called
    from training.config import RunConfig
    from training.presets.planning import Plan


@click.command(cls=Command, help=__doc__)
@option("--outdir", metavar="DIR", group=DATA, type=PATH,
        help="Where each run gets a numbered directory; or the directory of one run, to go on with it. Required.")
@options_of(Options)
@option("--new", is_flag=True, group=CONFIGURATION,
        help="Begin a new run even where one with these very settings exists.")
@option("-n", "--dry-run", is_flag=True, group=CONFIGURATION,
        help="Print the configuration and what it takes; write nothing.")
@option("--card", metavar="h200|h100|a100|v100|rtx4090", group=CONFIGURATION,
        help="With --dry-run: for which GPU to estimate the time.  [default: this one]")
@plugin_option(CONFIGURATION)
@option("--continue", "go_on", is_flag=True, group=TRANSFER, help="The same as --resume=latest.")
def main(outdir: str | None, new: bool, dry_run: bool, card: str | None, go_on: bool, **named: Any) -> None:
    from torch_utils import distributed
    from training.presets import planning
    from training.runs.resume_option import LATEST

    options = Options(**{name: value for name, value in named.items() if value is not None})
    if go_on and options.resume not in (None, LATEST):
        raise UserError(f"--continue is --resume=latest, and --resume={options.resume} another; leave one of them out")
    options = planning.with_launcher(replace(options, resume=LATEST) if go_on else options)
    if dry_run:
        preview(outdir, new, options, card)
        return
    if card is not None:
        raise UserError(f"--card={card} is for --dry-run; a run takes the GPU that is here")
    with distributed.joined(options.device or "auto") if distributed.is_launched() else nullcontext():
        run(outdir, new, options)


def run(outdir: str | None, new: bool, options: Options) -> None:
    """Train what the options say, in this process or in several."""
    from metrics import registry
    from torch_utils import distributed
    from torch_utils.launch import launch
    from training.presets import planning
    from training.runs import directory as run_dir
    from training.runs.trackers import check_trackers

    plan, world = planning.plan(outdir, new, options), distributed.current()
    config, place = plan.config, plan.place
    assert place is not None, "what is trained has a place"
    registry.check(config.schedule.metrics, config)
    check_trackers(config.schedule.trackers)
    planning.check_hardware(config.hardware, options, world)
    planning.check_memory(config)
    if place.progress is run_dir.Progress.FINISHED:
        say(f"{place.path} has these very settings and is finished; --new trains again")
        return
    world.first(lambda: registry.fetch_weights(config.schedule.metrics))  # now, not at the first snapshot
    remark(plan, options)
    if place.progress is run_dir.Progress.STARTED:
        say(f"going on with {place.path}; --new begins a new run")
    path = world.first(lambda: run_dir.create(place, config))
    if distributed.is_launched():
        start(config, path)
    else:
        launch(start, config.hardware.gpus, config.hardware.device, config, path)


def preview(outdir: str | None, new: bool, options: Options, card: str | None = None) -> None:
    """Print what a run would be and take, as YAML with comments; works without data where --cfg says the image size."""
    from metrics import registry
    from training.cost import gpu_estimate
    from training.cost import summary as cost
    from training.presets import planning

    chosen = gpu_estimate.present_card() if card is None else gpu_estimate.find_card(card)

    if options.resume is not None or (options.data and outdir):
        plan = planning.plan(outdir, new, options)
    elif options.data:
        config, facts = planning.configure(options)
        plan = planning.Plan(config, None, facts)
    else:
        plan = planning.assumed(options)
    config, place = plan.config, plan.place
    registry.check(config.schedule.metrics, config)
    remark(plan, options)
    click.echo(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), nl=False)
    card_used = chosen if config.hardware.device != "cpu" else None
    sized = config if card_used is None else gpu_estimate.fitted_to(config, card_used)
    click.echo(textwrap.indent(cost.table(cost.summarize(sized)), "# ", lambda line: True))
    if card_used is not None:
        guess = gpu_estimate.estimate(config, card_used)
        click.echo(textwrap.indent(gpu_estimate.table(guess, config.hardware.gpus), "# ", lambda line: True))
    if plan.facts is not None and not options.data and options.resume is None:
        side = plan.facts.resolution
        click.echo(f"# no --data: RGB images of {side}x{side} are assumed, as for --cfg={options.cfg}, and no labels")
    if place is not None:
        click.echo(f"# run directory ({place.progress.value}): {place.path}")


def remark(plan: "Plan", options: Options) -> None:
    """Say, before anything is made, what --cfg changes of --method, and what this run's images are too few for."""
    from metrics import registry
    from torch_utils import distributed
    from training.presets import planning

    few = [] if plan.images is None else registry.obstacles(plan.config.schedule.metrics, plan.config, plan.images)
    for line in [*planning.remarks(plan, options), *few] if distributed.current().is_first else []:
        click.echo(line, err=True)


def start(config: "RunConfig", path: Path) -> None:
    """Train. The loop with its logging and plotting is imported only where there is something to train."""
    from metrics.in_training import TrainingMetrics
    from training.loop import train

    train(config, path, TrainingMetrics())


def say(text: str) -> None:
    """On the first rank."""
    from torch_utils import distributed

    if distributed.current().is_first:
        click.echo(text)


if __name__ == "__main__":
    main()
