"""What a training step consists of: four phases, each a loss over one network.

G main (adversarial + alignment), G path (path length regularisation), D main, D R1. D sees images, generated or real,
after augmentation. Every random number comes from the Streams given; every loss is a scalar; statistics stay on the
device.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from training import losses
from training.attention import alignment_loss
from training.augment.layouts import warped
from training.augment.pipeline import Augmented, AugmentPipe
from training.config import RunConfig
from training.discriminator import Discriminator
from training.generator import Generator
from training.heatmaps import LEVEL_RESOLUTIONS, Layout, sample_layout
from training.randomness import Randomness
from training.synthesis import Noise

Statistics = dict[str, Tensor]


@dataclass
class Networks:
    """The two players, the moving mean of path lengths [], and what happens to images before D sees them."""

    G: Generator
    D: Discriminator
    pl_mean: Tensor
    augment: AugmentPipe | None = None


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
    phases.append(Phase("D_main", "D", 1, d_main))
    if config.loss.r1_gamma > 0:
        phases.append(Phase("D_r1", "D", config.discriminator_optimizer.reg_interval, d_r1))
    return phases


def draw_batch(
    networks: Networks, config: RunConfig, streams: Randomness, labels: Tensor, real_images: Tensor, real_c: Tensor
) -> Batch:
    """Draw latents and layouts for as many samples as `labels` [N, c_dim] has rows."""
    count, settings = len(labels), networks.G.config
    z = torch.randn([count, settings.z_dim], generator=streams["latent"], device=labels.device)
    layout = None
    if settings.encoding is not None:
        layout = sample_layout(count, config.sampler, streams["layout"], settings.encoding.counts)
    return Batch(z, labels, layout, real_images, real_c)


def g_main(networks: Networks, batch: Batch, config: RunConfig, streams: Randomness) -> tuple[Tensor, Statistics]:
    """Non-saturating logistic loss, plus the alignment of D's attention with the layout (one pass through D)."""
    images = _generate(networks.G, batch, config, streams)
    align = config.align.weight > 0 and batch.layout is not None
    seen = _augmented(networks, images, streams)
    judged = networks.D(seen.images, batch.c, features=LEVEL_RESOLUTIONS if align else ())
    adversarial = losses.generator_loss(judged.logits)
    loss = adversarial.mean()
    statistics = {"loss/G": adversarial, "scores/fake_G": judged.logits}
    if align:
        layout = warped(batch.layout, seen.geometry)
        alignment = alignment_loss(judged.logits, judged.features, layout, config.align, images.shape[3])
        loss = loss + config.align.weight * alignment
        statistics["loss/align"] = alignment
    return loss, statistics


def g_path(networks: Networks, batch: Batch, config: RunConfig, streams: Randomness) -> tuple[Tensor, Statistics]:
    """Path length regularisation on the first 1 / pl_batch_shrink of the batch; moves networks.pl_mean."""
    count = max(len(batch.z) // config.loss.pl_batch_shrink, 1)
    layout = None if batch.layout is None else batch.layout[:count]
    part = Batch(batch.z[:count], batch.c[:count], layout, batch.real_images, batch.real_c)
    ws = _styles(networks.G, part, config, streams)
    images = networks.G.synthesis(ws, layout, Noise("random", streams["noise"]))
    noise = torch.randn(images.shape, generator=streams["path"], device=images.device)
    lengths = losses.path_lengths(images, ws, noise)
    penalty, mean = losses.path_length_penalty(lengths, networks.pl_mean, config.loss.pl_decay)
    networks.pl_mean.copy_(mean.detach())
    return config.loss.pl_weight * penalty.mean(), {"loss/path_penalty": penalty, "path_length": lengths}


def d_main(networks: Networks, batch: Batch, config: RunConfig, streams: Randomness) -> tuple[Tensor, Statistics]:
    """Logistic loss on generated and real images."""
    with torch.no_grad():
        images = _generate(networks.G, batch, config, streams)
    fake = networks.D(_augmented(networks, images, streams).images, batch.c).logits
    real = networks.D(_augmented(networks, batch.real_images, streams).images, batch.real_c).logits
    if networks.augment is not None:
        networks.augment.strength.observe(real)
    loss = losses.discriminator_loss(fake, real)
    return loss.mean(), {"loss/D": loss, "scores/fake": fake, "scores/real": real, "signs/real": real.sign()}


def d_r1(networks: Networks, batch: Batch, config: RunConfig, streams: Randomness) -> tuple[Tensor, Statistics]:
    """R1 regularisation: gamma / 2 |d D(real) / d real|^2, real before augmentation."""
    real_images = batch.real_images.detach().requires_grad_()
    seen = _augmented(networks, real_images, streams)
    penalty = losses.r1_penalty(networks.D(seen.images, batch.real_c).logits, real_images)
    return config.loss.r1_gamma / 2 * penalty.mean(), {"loss/r1_penalty": penalty}


def _augmented(networks: Networks, images: Tensor, streams: Randomness) -> Augmented:
    if networks.augment is None:
        return Augmented(images, None)
    return networks.augment(images, streams["augment"])


def _generate(G: Generator, batch: Batch, config: RunConfig, streams: Randomness) -> Tensor:
    ws = _styles(G, batch, config, streams)
    return G.synthesis(ws, batch.layout, Noise("random", streams["noise"]))


def _styles(G: Generator, batch: Batch, config: RunConfig, streams: Randomness) -> Tensor:
    """ws [N, num_ws, w_dim], with style mixing: from a random layer on, the w of a second latent.

    The mean style follows every pass of training.
    """
    ws = G.styles(batch.z, batch.c, update_w_avg=True)
    if config.loss.style_mixing_prob == 0:
        return ws
    count, stream = len(ws), streams["mixing"]
    draw = {"generator": stream, "device": ws.device}
    other = G.styles(torch.randn(batch.z.shape, **draw), batch.c)
    crossover = torch.randint(1, G.num_ws, [count, 1, 1], **draw)
    mixed = torch.rand([count, 1, 1], **draw) < config.loss.style_mixing_prob
    late = torch.arange(G.num_ws, device=ws.device)[None, :, None] >= crossover
    return torch.where(late & mixed, other, ws)
