"""How `experiments.collapse` does it."""

from pathlib import Path

import click
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.files import write_by
from dnnlib.words import counted
from training.config import DiscriminatorConfig
from training.data.dataset import ImageDataset
from training.losses.adversarial import discriminator_loss
from training.networks.backbones import DiscriminatorNetwork, make_discriminator

BATCH = 8
HELD_OUT = 512  # images
EVERY = 10  # steps between two scores


def load_images(path: str) -> Tensor:
    """All images of a data set, [N, C, R, R] in [-1, 1]. Raises UserError when there are too few."""
    dataset, needed = ImageDataset(path), HELD_OUT + BATCH + 1
    if len(dataset) < needed:
        raise UserError(
            f"{path} holds {counted(len(dataset), 'image')}; {needed} are the least, of which {HELD_OUT} are held out"
        )
    pixels = np.stack([dataset[i][0] for i in range(len(dataset))])
    return torch.from_numpy(pixels).float() / 127.5 - 1


def batches(images: Tensor, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """(a batch of one image, a batch of different ones), [BATCH, C, R, R] each."""
    chosen = torch.randperm(len(images), generator=stream)[: BATCH + 1]
    return images[chosen[:1]].expand(BATCH, -1, -1, -1), images[chosen[1:]]


def learn(images: Tensor, std_channels: int, steps: int, seed: int) -> list[float]:
    """Train D; its accuracy every EVERY steps: the share of batches on the right side of the median logit."""
    held_out, images = images[:HELD_OUT], images[HELD_OUT:]
    torch.manual_seed(seed)
    D = make_discriminator(
        DiscriminatorConfig(
            backbone="progan", img_resolution=images.shape[2], img_channels=images.shape[1], channel_base=512,
            channel_max=32, mbstd_num_channels=std_channels, mbstd_group_size=BATCH, resample_filter=(1, 1),
        )
    )  # fmt: skip
    optimizer = torch.optim.Adam(D.parameters(), lr=0.002, betas=(0.0, 0.99))
    stream, found = torch.Generator().manual_seed(seed), []
    for step in range(steps + 1):
        if step % EVERY == 0:
            found.append(accuracy(D, held_out, torch.Generator().manual_seed(1)))
        repeated, different = batches(images, stream)
        loss = discriminator_loss(D(repeated).logits, D(different).logits).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return found


@torch.no_grad()
def accuracy(D: DiscriminatorNetwork, images: Tensor, stream: torch.Generator, count: int = 64) -> float:
    """Share of 2 x count batches that the median of their mean logits puts on the right side."""
    pairs = [batches(images, stream) for _ in range(count)]
    scores = torch.tensor([[D(batch).logits.mean() for batch in pair] for pair in pairs])
    middle = scores.median()
    return ((scores[:, 0] <= middle).sum() + (scores[:, 1] > middle).sum()).item() / (2 * count)


def plot(path: Path, curves: dict[str, list[list[float]]]) -> Path:
    """Accuracy over training, a line for each seed."""
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    for number, (name, runs) in enumerate(curves.items()):
        for i, values in enumerate(runs):
            steps = [EVERY * k for k in range(len(values))]
            axes.plot(steps, values, color=f"C{number}", alpha=0.8, label=name if i == 0 else None)
    axes.axhline(0.5, color="grey", lw=0.8, ls=":")
    axes.set(xlabel="steps of D", ylabel="batches told apart", ylim=(0.4, 1.02))
    axes.set_title("Does D see a generator that repeats itself?", loc="left", weight="bold", size=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")
    return write_by(path, lambda file: figure.savefig(file, dpi=150, format="png"))


def study(data: str, out: Path, steps: int, seeds: int) -> None:
    """What the command of this name does."""
    images = load_images(data)
    kinds = {"with minibatch standard deviation": 1, "without": 0}
    curves = {name: [learn(images, k, steps, seed) for seed in range(seeds)] for name, k in kinds.items()}
    for name, runs in curves.items():
        click.echo(f"{name}: {', '.join(f'{values[-1]:.2f}' for values in runs)} of batches told apart at the end")
    click.echo(f"wrote {plot(out, curves)}")
