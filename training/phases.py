"""What a training step consists of: four phases, each a loss over one network.

G main (adversarial + alignment), G path (path length regularisation), D main, D R1. Every random number comes from
the Streams given; every loss is a scalar; statistics stay on the device. Off by default: G move, which regularises how
pictures follow their centres.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from training import losses
from training.attention import alignment_loss
from training.config import RunConfig
from training.discriminator import Discriminator
from training.generator import Generator
from training.heatmaps import LEVEL_RESOLUTIONS, Layout, sample_layout
from training.randomness import Randomness
from training.synthesis import Noise

Statistics = dict[str, Tensor]

GENERATOR_LOSSES = {"logistic": losses.generator_loss, "hinge": losses.generator_hinge_loss}
DISCRIMINATOR_LOSSES = {"logistic": losses.discriminator_loss, "hinge": losses.discriminator_hinge_loss}


@dataclass
class Networks:
    """The two players, and the moving means [] of path lengths and of the speed at which pictures follow a centre."""

    G: Generator
    D: Discriminator
    pl_mean: Tensor
    move_mean: Tensor = field(default_factory=lambda: torch.zeros([]))


@dataclass(frozen=True)
class Batch:
    """One pass of one phase: latents, labels and layouts for G; real images in [-1, 1] and labels for D."""

    z: Tensor
    c: Tensor
    layout: Layout | None
    real_images: Tensor
    real_c: Tensor


@dataclass(frozen=True)
class Phase:
    """`loss(networks, batch, config, streams)` trains `trained` ("G" or "D") every `interval` steps.

    `gain` multiplies the gradient, so that a rare phase weighs as much as one at every step.
    """

    name: str
    trained: str
    interval: int
    loss: Callable[[Networks, Batch, RunConfig, Randomness], tuple[Tensor, Statistics]]

    @property
    def gain(self) -> int:
        return self.interval


def make_phases(config: RunConfig) -> list[Phase]:
    """The phases of a step in order; regularisers of weight 0 are left out."""
    phases = [Phase("G_main", "G", 1, g_main)]
    if config.loss.pl_weight > 0:
        phases.append(Phase("G_path", "G", config.generator_optimizer.reg_interval, g_path))
    if config.loss.move_weight > 0 and config.generator.encoding is not None:
        phases.append(Phase("G_move", "G", config.loss.move_interval, g_move))
    phases.append(Phase("D_main", "D", 1, d_main))
    if config.loss.r1_gamma > 0:
        phases.append(Phase("D_r1", "D", config.discriminator_optimizer.reg_interval, d_r1))
    return phases


def draw_batch(
    networks: Networks, config: RunConfig, streams: Randomness, labels: Tensor, real_images: Tensor, real_c: Tensor
) -> Batch:
    """Draw latents [N, *latent_shape] and layouts for as many samples as `labels` [N, c_dim] has rows."""
    count, settings = len(labels), networks.G.config
    z = torch.randn([count, *settings.latent_shape], generator=streams["latent"], device=labels.device)
    layout = None
    if settings.encoding is not None:
        layout = sample_layout(count, config.sampler, streams["layout"], settings.encoding.counts)
    return Batch(z, labels, layout, real_images, real_c)


def g_main(networks: Networks, batch: Batch, config: RunConfig, streams: Randomness) -> tuple[Tensor, Statistics]:
    """Adversarial loss, plus the alignment of D's attention with the layout (one pass through D)."""
    images = _generate(networks.G, batch, config, streams)
    align = config.align.weight > 0 and batch.layout is not None
    judged = networks.D(images, batch.c, features=LEVEL_RESOLUTIONS if align else ())
    adversarial = GENERATOR_LOSSES[config.loss.adversarial](judged.logits)
    loss = adversarial.mean()
    statistics = {"loss/G": adversarial, "scores/fake_G": judged.logits}
    if align:
        alignment = alignment_loss(judged.logits, judged.features, batch.layout, config.align, images.shape[3])
        loss = loss + config.align.weight * alignment
        statistics["loss/align"] = alignment
    return loss, statistics


def g_path(networks: Networks, batch: Batch, config: RunConfig, streams: Randomness) -> tuple[Tensor, Statistics]:
    """Path length regularisation on the first 1 / pl_batch_shrink of the batch; moves networks.pl_mean."""
    part = _first_share(batch, config.loss.pl_batch_shrink)
    ws = _styles(networks.G, part, config, streams)
    images = networks.G.synthesis(ws, part.layout, Noise("random", streams["noise"]))
    noise = torch.randn(images.shape, generator=streams["path"], device=images.device)
    lengths = losses.path_lengths(images, ws, noise)
    penalty, mean = losses.path_length_penalty(lengths, networks.pl_mean, config.loss.pl_decay)
    networks.pl_mean.copy_(mean.detach())
    return config.loss.pl_weight * penalty.mean(), {"loss/path_penalty": penalty, "path_length": lengths}


def g_move(networks: Networks, batch: Batch, config: RunConfig, streams: Randomness) -> tuple[Tensor, Statistics]:
    """Our regularisation of centre movement, in the manner of path lengths; moves networks.move_mean.

    A fixed step of a level-0 centre, in a random direction, is to change the image by a fixed amount: the authors' own
    suggestion against blur at heatmap borders (supplement of EqGAN-SA, section E). Finite differences, with the same
    noise before and after, so there is no second derivative.
    """
    part, step = _first_share(batch, config.loss.pl_batch_shrink), config.loss.move_step
    ws = _styles(networks.G, part, config, streams)
    moved = _randomly_moved(part.layout, step, streams["move"])
    seeds = streams["noise"].get_state()
    before = networks.G.synthesis(ws, part.layout, Noise("random", streams["noise"]))
    streams["noise"].set_state(seeds)
    after = networks.G.synthesis(ws, moved, Noise("random", streams["noise"]))
    speeds = losses.movement_speeds(before, after, step)
    penalty, mean = losses.path_length_penalty(speeds, networks.move_mean, config.loss.pl_decay)
    networks.move_mean.copy_(mean.detach())
    return config.loss.move_weight * penalty.mean(), {"loss/move_penalty": penalty, "move_speed": speeds}


def _randomly_moved(layout: Layout, step: float, stream: torch.Generator) -> Layout:
    """Every picture with one of its level-0 centres, drawn at random, `step` away from where it was."""
    centers, draw = layout.centers[0], {"generator": stream, "device": layout.centers[0].device}
    angle = torch.rand([len(layout)], **draw) * (2 * torch.pi)
    chosen = torch.randint(centers.shape[1], [len(layout)], **draw)
    for index in range(centers.shape[1]):
        now = step * (chosen == index)
        layout = layout.moved(0, index, now * angle.cos(), now * angle.sin())
    return layout


def d_main(networks: Networks, batch: Batch, config: RunConfig, streams: Randomness) -> tuple[Tensor, Statistics]:
    """Adversarial loss on generated and real images."""
    with torch.no_grad():
        images = _generate(networks.G, batch, config, streams)
    fake = networks.D(images, batch.c).logits
    real = networks.D(batch.real_images, batch.real_c).logits
    loss = DISCRIMINATOR_LOSSES[config.loss.adversarial](fake, real)
    return loss.mean(), {"loss/D": loss, "scores/fake": fake, "scores/real": real, "signs/real": real.sign()}


def d_r1(networks: Networks, batch: Batch, config: RunConfig, streams: Randomness) -> tuple[Tensor, Statistics]:
    """R1 regularisation: gamma / 2 |d D(real) / d real|^2."""
    real_images = batch.real_images.detach().requires_grad_()
    penalty = losses.r1_penalty(networks.D(real_images, batch.real_c).logits, real_images)
    return config.loss.r1_gamma / 2 * penalty.mean(), {"loss/r1_penalty": penalty}


def _first_share(batch: Batch, shrink: int) -> Batch:
    """The first 1 / shrink of what is for G, at least one sample."""
    count = max(len(batch.z) // shrink, 1)
    layout = None if batch.layout is None else batch.layout[:count]
    return Batch(batch.z[:count], batch.c[:count], layout, batch.real_images, batch.real_c)


def _generate(G: Generator, batch: Batch, config: RunConfig, streams: Randomness) -> Tensor:
    ws = _styles(G, batch, config, streams)
    return G.synthesis(ws, batch.layout, Noise("random", streams["noise"]))


def _styles(G: Generator, batch: Batch, config: RunConfig, streams: Randomness) -> Tensor:
    """ws [N, num_ws, (codes,) w_dim], with style mixing: from a random layer on, the w of a second latent.

    Each code of an image is mixed, or not, by itself. The mean style follows every pass of training.
    """
    ws = G.styles(batch.z, batch.c, update_w_avg=True, layout=batch.layout)
    if config.loss.style_mixing_prob == 0 or G.num_ws == 1:
        return ws
    shape, stream = [len(ws), 1, *ws.shape[2:-1], 1], streams["mixing"]
    draw = {"generator": stream, "device": ws.device}
    other = G.styles(torch.randn(batch.z.shape, **draw), batch.c, layout=batch.layout)
    crossover = torch.randint(1, G.num_ws, shape, **draw)
    mixed = torch.rand(shape, **draw) < config.loss.style_mixing_prob
    late = torch.arange(G.num_ws, device=ws.device).view(-1, *[1] * (ws.ndim - 2)) >= crossover
    return torch.where(late & mixed, other, ws)
