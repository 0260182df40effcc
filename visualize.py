"""Look inside a trained generator and discriminator, as the papers' figures do. PNG files.

\b
    python visualize.py attention --network=runs/00000-demo --out=attention.png
    python visualize.py moves --network=runs/00000-demo --seed=7 --out=moves.png
    python visualize.py all --network=runs/00000-demo --outdir=figures
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnnlib.cli import PATH, SEED, Group, Int, Number, Seeds, option, plugin_option
from dnnlib.errors import UserError
from dnnlib.files import make_dir
from dnnlib.parsing import real, shown
from training.choices import AMPLITUDES, GRADCAMS, STEPS

if TYPE_CHECKING:  # torch and matplotlib take seconds to import: what needs them is imported where it is called
    from training.figures.subject import ModelUnderStudy
    from training.figures.table import Table

SNAPSHOTS = 6  # columns of figures over training
MOST = 1000  # rows or columns of a figure


def _options(*options: Callable) -> Callable:
    """Several click options as one decorator, shown in this order."""

    def decorate(command: Callable) -> Callable:
        for each in reversed(options):
            command = each(command)
        return command

    return decorate


def _png(ctx: click.Context, option: click.Parameter, out: str) -> Path:
    if Path(out).suffix.lower() != ".png":
        raise UserError(f"--out {out}: figures are PNG files; give a name that ends in .png")
    if Path(out).is_dir():
        raise UserError(f"--out {out}: this is a directory; name a file")
    return Path(out)


_NETWORK = _options(
    option("--network", required=True, metavar="PATH", type=PATH,
                 help="Snapshot file, or a run directory (its newest)."),
    option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
    plugin_option(),
)
_OUT = option("--out", required=True, metavar="FILE.png", type=PATH, callback=_png, help="The picture to write.")
_DATA = option("--data", metavar="PATH", type=PATH, show_default="those it was trained on",
                     help="Real images, zip or folder.")
_TRUNC = option("--trunc", metavar="PSI", type=Number(-10, 10), default=1.0, show_default=True,
                      help="Less variety for more typical pictures: 1 is off.")
_REAL = _options(
    option("--seed", type=SEED, default=0, show_default=True,
                 help="Chooses the real images, and draws the noise."),
    _DATA,
)
_GRADCAM = option("--gradcam", type=click.Choice(GRADCAMS), default="run", show_default=True,
                        help="How attention is read: as the run's alignment loss does, or as one of the two papers' "
                             "variants.")
_LEVEL = option("--level", type=Int(0, 2), show_default="all",
                help="One level only: 0, 1, 2 are 4x4, 8x8, 16x16.")
_SNAPSHOTS = option("--snapshots", type=Int(2, MOST), default=SNAPSHOTS, show_default=True,
                          help="How many of the run's snapshots, closer early in training.")
_STEPS = option("--steps", type=Int(2, MOST), default=STEPS, show_default=True, help="Pictures in a strip.")


def _count(default: int) -> Callable:
    return option("--count", type=Int(1, MOST), default=default, show_default=True, help="How many real images.")


def _seeds(default: str, help: str, name: str = "--seeds") -> Callable:
    return option(name, type=Seeds(MOST), default=default, show_default=True, help=help)


@click.group(cls=Group, help=__doc__)
def main() -> None:
    pass


@main.command("attention")
@_options(_NETWORK, _OUT, _count(4), _REAL, _seeds("0-3", "Generated pictures."), _TRUNC, _GRADCAM)
def attention_command(
    network: str, device: str, out: Path, count: int, seed: int, data: str | None, seeds: list[int], trunc: float,
    gradcam: str,
) -> None:  # fmt: skip
    """Where D looks, at each of its features, in real and generated images."""
    from training.figures.attention import attention_figure

    _write(out, attention_figure(_open(network, device, data, trunc), count, seed, seeds, gradcam))


@main.command()
@_options(_NETWORK, _OUT, _count(2), _REAL, _LEVEL, _GRADCAM)
@option("--amplitudes", default=",".join(map(str, AMPLITUDES)), show_default=True, metavar="LIST",
              help="Standard deviations of the noise; images span [-1, 1].")
def noise(
    network: str, device: str, out: Path, count: int, seed: int, data: str | None, level: int | None, gradcam: str,
    amplitudes: str,
) -> None:  # fmt: skip
    """Whether D's attention withstands noise."""
    from training.figures.robustness import noise_figure

    _write(out, noise_figure(_open(network, device, data), count, seed, _numbers(amplitudes), level, gradcam))


@main.command("bad-samples")
@_options(_NETWORK, _OUT, _seeds("0,1", "Generated pictures."), _SNAPSHOTS, _TRUNC, _LEVEL, _GRADCAM)
def bad_samples(
    network: str, device: str, out: Path, seeds: list[int], snapshots: int, trunc: float, level: int | None,
    gradcam: str,
) -> None:  # fmt: skip
    """Where D looks in pictures of poorly trained generators, those of the run's earlier snapshots."""
    from training.figures.robustness import bad_samples_figure

    _write(out, bad_samples_figure(_open(network, device, trunc=trunc), seeds, snapshots, level, gradcam))


@main.command()
@_options(_NETWORK, _OUT, _count(2), _REAL, _seeds("0", "Generated pictures."), _SNAPSHOTS, _LEVEL, _GRADCAM)
def consistency(
    network: str, device: str, out: Path, count: int, seed: int, data: str | None, seeds: list[int], snapshots: int,
    level: int | None, gradcam: str,
) -> None:  # fmt: skip
    """Where D looked in the same images at several ages."""
    from training.figures.robustness import consistency_figure

    _write(out, consistency_figure(_open(network, device, data), count, seed, seeds, snapshots, level, gradcam))


@main.command()
@_options(_NETWORK, _OUT, _seeds("0-3", "Which pictures."), _TRUNC)
@option("--versus", metavar="PATH", type=PATH, multiple=True, help="Another model to show below; can be repeated.")
def features(
    network: str, device: str, out: Path, seeds: list[int], trunc: float, versus: tuple[str, ...]
) -> None:
    """Mean features of G, at each resolution."""
    from training.figures.features import features_figure

    subjects = [_open(path, device, trunc=trunc) for path in (network, *versus)]
    _write(out, features_figure(subjects, seeds))


@main.command()
@_options(_NETWORK, _OUT, _seeds("0-3", "Latents, a row each."), _STEPS, _TRUNC)
@option("--from", "start", type=SEED, default=2, show_default=True,
              help="Seed of the layout on the left.")
@option("--to", "end", type=SEED, default=3, show_default=True,
              help="Seed of the layout on the right.")
def interpolation(
    network: str, device: str, out: Path, seeds: list[int], steps: int, trunc: float, start: int, end: int
) -> None:
    """Fixed latents while the layout changes from one to another."""
    from training.figures.steering import interpolation_figure

    _write(out, interpolation_figure(_open(network, device, trunc=trunc), seeds, (start, end), steps))


@main.command()
@_options(_NETWORK, _OUT, _STEPS, _TRUNC)
@option("--seed", type=SEED, default=0, show_default=True, help="Latent and layout.")
def moves(network: str, device: str, out: Path, steps: int, trunc: float, seed: int) -> None:
    """One latent while centres of each level move, one at a time."""
    from training.figures.steering import moves_figure

    _write(out, moves_figure(_open(network, device, trunc=trunc), seed, steps))


@main.command()
@_options(_NETWORK, _OUT, _seeds("0-5", "Latents, a column each."), _TRUNC)
@_seeds("0-4", "Layouts, a row each.", "--layouts")
def grid(network: str, device: str, out: Path, seeds: list[int], trunc: float, layouts: list[int]) -> None:
    """The same layout with other latents, and the same latent with other layouts."""
    from training.figures.steering import grid_figure

    _write(out, grid_figure(_open(network, device, trunc=trunc), seeds, layouts))


@main.command()
@_options(_NETWORK, _OUT, _seeds("0-2", "Pictures that keep the other styles, a row each."), _TRUNC)
@_seeds("3-7", "Pictures whose styles are taken, a column each.", "--others")
def mixing(network: str, device: str, out: Path, seeds: list[int], trunc: float, others: list[int]) -> None:
    """Pictures with the coarse, middle or fine styles of others."""
    from training.figures.mixing import mixing_figure

    _write(out, mixing_figure(_open(network, device, trunc=trunc), seeds, others))


@main.command()
@option("--network", required=True, metavar="RUN", type=PATH, help="Run directory, or a snapshot in it.")
@option("--versus", metavar="RUN", type=PATH, multiple=True, help="Another run to plot as well; can be repeated.")
@_OUT
def scores(network: str, versus: tuple[str, ...], out: Path) -> None:
    """Lowest real and highest generated score of D over training."""
    _write_scores(out, [_run_dir(path) for path in (network, *versus)])


@main.command("all")
@_NETWORK
@option("--outdir", required=True, metavar="DIR", type=PATH, help="Folder for the pictures.")
@_options(_DATA, _TRUNC, _GRADCAM)
def everything(network: str, device: str, outdir: str, data: str | None, trunc: float, gradcam: str) -> None:
    """Make every figure that applies, with its defaults."""
    from training.figures.attention import attention_figure
    from training.figures.features import features_figure
    from training.figures.mixing import mixing_figure
    from training.figures.robustness import bad_samples_figure, consistency_figure, noise_figure
    from training.figures.steering import grid_figure, interpolation_figure, moves_figure

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
        "mixing": lambda: mixing_figure(subject),
    }
    folder = make_dir(outdir)
    for name, make in figures.items():
        _unless_refused(name, partial(_draw, make), folder)
    _unless_refused("scores", lambda path: _write_scores(path, [subject.run_dir]), folder)


def _unless_refused(name: str, write: Callable[[Path], None], folder: Path) -> None:
    """Make one of many figures; say why where it does not apply."""
    try:
        write(folder / f"{name}.png")
    except UserError as reason:
        click.echo(f"left out {name}: {reason}")


def _open(network: str, device: str, data: str | None = None, trunc: float = 1.0) -> "ModelUnderStudy":
    from torch_utils.allocator import keep_memory
    from torch_utils.threads import yield_when_crowded
    from training.figures.subject import ModelUnderStudy

    subject = ModelUnderStudy(network, device, data, trunc)
    if subject.model.device.type == "cpu":
        keep_memory()
        yield_when_crowded()
    return subject


def _write(out: Path, table: "Table") -> None:
    from training.figures.table import save_table

    make_dir(out.parent)
    click.echo(f"wrote {save_table(out, table)}")


def _draw(make: Callable[[], "Table"], out: Path) -> None:
    _write(out, make())


def _write_scores(out: Path, runs: list[Path]) -> None:
    from training.figures.scores import save_scores

    make_dir(out.parent)
    click.echo(f"wrote {save_scores(out, runs, [run.absolute().name for run in runs])}")


def _run_dir(path: str) -> Path:
    folder = Path(path)
    if not folder.exists():
        raise UserError(f"{path}: no such run directory")
    return folder if folder.is_dir() else folder.parent


def _numbers(text: str) -> list[float]:
    try:
        return [real(part) for part in text.split(",")]
    except ValueError as error:
        raise UserError(f"--amplitudes '{shown(text)}' must be numbers with commas between, as in 0,0.1") from error


if __name__ == "__main__":
    main()
