"""How `experiments.orthogonal` does it."""

from pathlib import Path

import click
import torch
from matplotlib.figure import Figure
from torch import nn

from dnnlib.errors import UserError
from dnnlib.files import write_by
from metrics.context import network_context
from metrics.frechet import frechet
from training.data.dataset import ImageDataset
from training.data.of_run import open_data
from training.losses.orthogonal import layer_matrices
from training.networks.backbones import GeneratorNetwork
from training.sampling import Model

THRESHOLDS = (3.0, 2.0, 1.5, 1.25, 0.75, 0.5, 0.25)  # of values of z, the first for as good as none; 1 is "off"
STANDING, AT_A_TIME = 20, 64  # batches that statistics are taken of, and their size


def mean_cosine(network: GeneratorNetwork) -> float:
    """Of two different filters of one layer, its absolute value; layers of one filter have none."""
    found = []
    for weight in layer_matrices(network):
        if len(weight) > 1:
            unit = weight / weight.norm(dim=1, keepdim=True).clamp_min(1e-12)
            cosines = (unit @ unit.T).abs()
            found.append((cosines.sum() - cosines.trace()) / (len(unit) * (len(unit) - 1)))
    return torch.stack(found).mean().item()


def use_standing_statistics(model: Model, threshold: float) -> None:
    """Batch normalization by means and variances of generated pictures, of latents truncated like those to come.

    The ones of training are of untruncated latents and of G, not of its moving average (Brock et al. 2019, appendix B).
    """
    layers = [layer for layer in model.G.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
        layer.train()
    for first in range(0, STANDING * AT_A_TIME, AT_A_TIME):
        seeds = range(first, first + AT_A_TIME)
        model.images(seeds, truncation_psi=threshold, batch_size=AT_A_TIME)
    for layer in layers:
        layer.eval()


def distances(model: Model, dataset: ImageDataset, count: int) -> list[float]:
    """Fréchet distance on random features of `count` pictures to the data, for each threshold."""
    found = []
    for threshold in THRESHOLDS:
        use_standing_statistics(model, threshold)
        context = network_context(model, None, dataset, truncation_psi=threshold)
        found.append(frechet(context, count, None, "random", "pooled")[""])
    return found


def plot(path: Path, curves: dict[str, list[float]]) -> Path:
    """Distance, as a multiple of that of the first threshold, over the threshold; a line for each run."""
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    for number, (name, values) in enumerate(curves.items()):
        relative = [value / values[0] for value in values]
        axes.plot(THRESHOLDS, relative, "o-", ms=4, color=f"C{number % 10}", label=name)
    axes.axhline(1, color="grey", lw=0.8, ls=":")
    axes.set(xlabel="threshold of z", ylabel="distance to the data / untruncated", yscale="log")
    axes.invert_xaxis()
    axes.set_title("What truncation costs", loc="left", weight="bold", size=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")
    return write_by(path, lambda file: figure.savefig(file, dpi=150, format="png"))


def named(text: str) -> tuple[str, Path]:
    """NAME=RUN. Raises UserError for another form."""
    name, equals, run = text.partition("=")
    if not (name and equals and run):
        raise UserError(f"--runs '{text}': write it as NAME=RUN, such as with=runs/00000")
    return name, Path(run)


def study(runs: tuple[str, ...], out: Path, count: int) -> None:
    """What the command of this name does."""
    curves = {}
    for name, run in map(named, runs):
        model = Model.load(run, "cpu")
        if model.config.generator.truncation != "z":
            raise UserError(f"{run}: this model does not truncate z; train it with --method=biggan")
        curves[name] = distances(model, open_data(model.config, None), count)
        pairs = zip(THRESHOLDS, curves[name], strict=True)
        shown = ", ".join(f"{threshold:g}: {value:.2f}" for threshold, value in pairs)
        click.echo(f"{name}: mean |cosine| of filters {mean_cosine(model.G):.3f}; distance by threshold {shown}")
    click.echo(f"wrote {plot(out, curves)}")
