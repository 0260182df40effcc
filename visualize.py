"""Look inside a trained generator and discriminator, as the papers' figures do. PNG files.

    python visualize.py attention --network=runs/00000-demo --out=attention.png
    python visualize.py moves --network=runs/00000-demo --seed=7 --out=moves.png
    python visualize.py all --network=runs/00000-demo --outdir=figures
"""

from collections.abc import Callable
from pathlib import Path

import click

from dnnlib.cli import Group
from dnnlib.errors import UserError
from dnnlib.files import make_dir
from dnnlib.parsing import int_ranges
from torch_utils.allocator import keep_memory
from torch_utils.threads import yield_when_crowded
from training.figures.attention import GRADCAM, attention_figure
from training.figures.features import features_figure
from training.figures.robustness import AMPLITUDES, bad_samples_figure, consistency_figure, noise_figure
from training.figures.scores import save_scores
from training.figures.steering import STEPS, grid_figure, interpolation_figure, moves_figure
from training.figures.subject import ModelUnderStudy
from training.figures.table import Table, save_table
from training.sampling import SEED_LIMIT

SNAPSHOTS = 6  # columns of figures over training
SEED = click.IntRange(0, SEED_LIMIT - 1)


def _options(*options: Callable) -> Callable:
    """Several click options as one decorator, shown in this order."""

    def decorate(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


class Seeds(click.ParamType):
    """A list such as 0,3,5-8."""

    name = "list"

    def convert(self, value, param, ctx):
        return int_ranges(value) if isinstance(value, str) else value


def _png(ctx: click.Context, option: click.Parameter, out: str) -> Path:
    if Path(out).suffix.lower() != ".png":
        raise UserError(f"--out {out}: figures are PNG files; give a name that ends in .png")
    return Path(out)


_NETWORK = _options(
    click.option("--network", required=True, metavar="PATH", help="Snapshot file, or a run directory (its newest)."),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
)
_OUT = click.option("--out", required=True, metavar="FILE.png", callback=_png, help="The picture to write.")
_DATA = click.option("--data", metavar="PATH", help="Real images, zip or folder.  [default: those it was trained on]")
_TRUNC = click.option("--trunc", metavar="PSI", type=float, default=1.0, show_default=True,
                      help="Less variety for more typical pictures: 1 is off.")
_REAL = _options(
    click.option("--seed", type=SEED, default=0, show_default=True,
                 help="Chooses the real images, and draws the noise."),
    _DATA,
)
_GRADCAM = click.option("--gradcam", type=click.Choice(GRADCAM), default="run", show_default=True,
                        help="How attention is read: as the run's alignment loss does, or as one of the two papers' "
                             "variants.")
_LEVEL = click.option("--level", type=click.IntRange(0, 2), help="One level only: 0, 1, 2 are 4x4, 8x8, 16x16.")
_SNAPSHOTS = click.option("--snapshots", type=click.IntRange(min=2), default=SNAPSHOTS, show_default=True,
                          help="How many of the run's snapshots, closer early in training.")
_STEPS = click.option("--steps", type=click.IntRange(min=2), default=STEPS, show_default=True,
                      help="Pictures in a strip.")


def _count(default: int) -> Callable:
    return click.option("--count", type=click.IntRange(min=1), default=default, show_default=True,
                        help="How many real images.")


def _seeds(default: str, help: str, name: str = "--seeds") -> Callable:
    return click.option(name, type=Seeds(), default=default, show_default=True, help=help)


@click.group(cls=Group)
def main():
    """Make figures that look inside a trained generator and discriminator."""


@main.command("attention")
@_options(_NETWORK, _OUT, _count(4), _REAL, _seeds("0-3", "Generated pictures."), _TRUNC, _GRADCAM)
def attention_command(network, device, out, count, seed, data, seeds, trunc, gradcam):
    """Where D looks, at each of its features, in real and generated images."""
    _write(out, attention_figure(_open(network, device, data, trunc), count, seed, seeds, gradcam))


@main.command()
@_options(_NETWORK, _OUT, _count(2), _REAL, _LEVEL, _GRADCAM)
@click.option("--amplitudes", default=",".join(map(str, AMPLITUDES)), show_default=True, metavar="LIST",
              help="Standard deviations of the noise; images span [-1, 1].")
def noise(network, device, out, count, seed, data, level, gradcam, amplitudes):
    """Whether D's attention withstands noise."""
    _write(out, noise_figure(_open(network, device, data), count, seed, _numbers(amplitudes), level, gradcam))


@main.command("bad-samples")
@_options(_NETWORK, _OUT, _seeds("0,1", "Generated pictures."), _SNAPSHOTS, _TRUNC, _LEVEL, _GRADCAM)
def bad_samples(network, device, out, seeds, snapshots, trunc, level, gradcam):
    """Where D looks in pictures of poorly trained generators, those of the run's earlier snapshots."""
    _write(out, bad_samples_figure(_open(network, device, trunc=trunc), seeds, snapshots, level, gradcam))


@main.command()
@_options(_NETWORK, _OUT, _count(2), _REAL, _seeds("0", "Generated pictures."), _SNAPSHOTS, _LEVEL, _GRADCAM)
def consistency(network, device, out, count, seed, data, seeds, snapshots, level, gradcam):
    """Where D looked in the same images at several ages."""
    _write(out, consistency_figure(_open(network, device, data), count, seed, seeds, snapshots, level, gradcam))


@main.command()
@_options(_NETWORK, _OUT, _seeds("0-3", "Which pictures."), _TRUNC)
@click.option("--versus", metavar="PATH", multiple=True, help="Another model to show below; can be repeated.")
def features(network, device, out, seeds, trunc, versus):
    """Mean features of G, at each resolution."""
    subjects = [_open(path, device, trunc=trunc) for path in (network, *versus)]
    _write(out, features_figure(subjects, seeds))


@main.command()
@_options(_NETWORK, _OUT, _seeds("0-3", "Latents, a row each."), _STEPS, _TRUNC)
@click.option("--from", "start", type=SEED, default=2, show_default=True,
              help="Seed of the layout on the left.")
@click.option("--to", "end", type=SEED, default=3, show_default=True,
              help="Seed of the layout on the right.")
def interpolation(network, device, out, seeds, steps, trunc, start, end):
    """Fixed latents while the layout changes from one to another."""
    _write(out, interpolation_figure(_open(network, device, trunc=trunc), seeds, (start, end), steps))


@main.command()
@_options(_NETWORK, _OUT, _STEPS, _TRUNC)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Latent and layout.")
def moves(network, device, out, steps, trunc, seed):
    """One latent while centres of each level move, one at a time."""
    _write(out, moves_figure(_open(network, device, trunc=trunc), seed, steps))


@main.command()
@_options(_NETWORK, _OUT, _seeds("0-5", "Latents, a column each."), _TRUNC)
@_seeds("0-4", "Layouts, a row each.", "--layouts")
def grid(network, device, out, seeds, trunc, layouts):
    """The same layout with other latents, and the same latent with other layouts."""
    _write(out, grid_figure(_open(network, device, trunc=trunc), seeds, layouts))


@main.command()
@click.option("--network", required=True, metavar="RUN", help="Run directory, or a snapshot in it.")
@click.option("--versus", metavar="RUN", multiple=True, help="Another run to plot as well; can be repeated.")
@_OUT
def scores(network, versus, out):
    """Lowest real and highest generated score of D over training."""
    _write_scores(out, [_run_dir(path) for path in (network, *versus)])


@main.command("all")
@_NETWORK
@click.option("--outdir", required=True, metavar="DIR", help="Folder for the pictures; made when it is missing.")
@_options(_DATA, _TRUNC, _GRADCAM)
def everything(network, device, outdir, data, trunc, gradcam):
    """Make every figure that applies, with its defaults."""
    subject = _open(network, device, data, trunc)
    figures = {
        "attention": lambda: attention_figure(subject, gradcam=gradcam),
        "noise": lambda: noise_figure(subject, gradcam=gradcam),
        "bad-samples": lambda: bad_samples_figure(subject, gradcam=gradcam),
        "consistency": lambda: consistency_figure(subject, gradcam=gradcam),
        "features": lambda: features_figure([subject]),
        "interpolation": lambda: interpolation_figure(subject),
        "moves": lambda: moves_figure(subject),
        "grid": lambda: grid_figure(subject),
    }
    folder = make_dir(outdir)
    for name, make in figures.items():
        _unless_refused(name, lambda path, make=make: _write(path, make()), folder)
    _unless_refused("scores", lambda path: _write_scores(path, [subject.run_dir]), folder)


def _unless_refused(name: str, write: Callable[[Path], None], folder: Path) -> None:
    """Make one of many figures; say why where it does not apply."""
    try:
        write(folder / f"{name}.png")
    except UserError as reason:
        click.echo(f"left out {name}: {reason}")


def _open(network: str, device: str, data: str | None = None, trunc: float = 1.0) -> ModelUnderStudy:
    subject = ModelUnderStudy(network, device, data, trunc)
    if subject.model.device.type == "cpu":
        keep_memory()
        yield_when_crowded()
    return subject


def _write(out: Path, table: Table) -> None:
    make_dir(out.parent)
    click.echo(f"wrote {save_table(out, table)}")


def _write_scores(out: Path, runs: list[Path]) -> None:
    make_dir(out.parent)
    click.echo(f"wrote {save_scores(out, runs, [run.absolute().name for run in runs])}")


def _run_dir(path: str) -> Path:
    folder = Path(path)
    if not folder.exists():
        raise UserError(f"{path}: no such run directory")
    return folder if folder.is_dir() else folder.parent


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"--amplitudes '{text}' must be numbers separated by commas, such as 0,0.1,0.4") from error


if __name__ == "__main__":
    main()
