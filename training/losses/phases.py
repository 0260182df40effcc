"""What a training step consists of: four phases, each a loss over one network.

G main (adversarial + alignment), G path (path length regularisation), D main, D R1; off by default G move, which
regularises how pictures follow their centres. D sees images, generated or real, after augmentation. Every random number
comes from the streams given; every loss is a scalar; statistics stay on the device. What is a mean over a whole batch,
the ranks of `world` work out together.
"""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from torch_utils.devices import kind_of
from torch_utils.distributed import ALONE, World
from torch_utils.randomness import RandomStreams
from training.augment.layouts import warped
from training.augment.pipeline import Augmented, AugmentPipe
from training.config import DiscriminatorConfig, RunConfig
from training.inputs import Batch, Inputs
from training.layouts.layout import LEVEL_RESOLUTIONS, Layout
from training.losses import adversarial
from training.losses.attention import alignment_loss
from training.networks.backbones import BACKBONES, DiscriminatorNetwork, GeneratorNetwork
from training.networks.synthesis import Noise

Statistics = dict[str, Tensor]
LossAndStatistics = tuple[Tensor, Statistics]


@dataclass
class Networks:
    """The two players, the moving mean of path lengths [], and what happens to images before D sees them.

    move_mean []: the same mean of the speed at which pictures follow a centre.
    """

    G: GeneratorNetwork
    D: DiscriminatorNetwork
    pl_mean: Tensor
    augment: AugmentPipe | None = None
    move_mean: Tensor = field(default_factory=lambda: torch.zeros([]))


class PhaseLoss(Protocol):
    """A loss over a batch: a scalar, and statistics by name."""

    def __call__(
        self, networks: Networks, batch: Batch, config: RunConfig, streams: RandomStreams, world: World = ...
    ) -> LossAndStatistics: ...


@dataclass(frozen=True)
class Phase:
    """`loss(networks, batch, config, streams, world)` trains `trained` ("G" or "D") every `interval` steps.

    `grad_scale` multiplies the gradient, so that a rare phase weighs as much as one at every step. `batch_shrink`: it
    generates that many times fewer images than a batch has; 0: none. `uses_compiled_D`: D may be compiled, as there is
    one derivative and one backward pass through it (GradCAM and R1 take more).
    """

    name: str
    trained: str
    interval: int
    loss: PhaseLoss
    batch_shrink: int = 1
    uses_compiled_D: bool = False

    @property
    def grad_scale(self) -> int:
        return self.interval

    def generated(self, per_pass: int) -> int:
        """How many images a pass over `per_pass` real ones generates."""
        return max(per_pass // self.batch_shrink, 1) if self.batch_shrink else 0


def make_phases(config: RunConfig) -> list[Phase]:
    """The phases of a step in order; regularisers of weight 0 are left out."""
    phases = [Phase("G_main", "G", 1, g_main)]
    if config.loss.pl_weight > 0:
        interval = config.generator_optimizer.reg_interval
        phases.append(Phase("G_path", "G", interval, g_path, batch_shrink=config.loss.pl_batch_shrink))
    if config.loss.move_weight > 0 and config.generator.encoding is not None:
        phases.append(Phase("G_move", "G", config.loss.move_interval, g_move, batch_shrink=config.loss.pl_batch_shrink))
    phases.append(Phase("D_main", "D", 1, d_main, uses_compiled_D=True))
    if config.loss.r1_gamma > 0:
        phases.append(Phase("D_r1", "D", config.discriminator_optimizer.reg_interval, d_r1, batch_shrink=0))
    return phases


def g_main(
    networks: Networks, batch: Batch, config: RunConfig, streams: RandomStreams, world: World = ALONE
) -> LossAndStatistics:
    """Adversarial loss, plus the alignment of D's attention with the layout (one pass through D)."""
    layout = batch.inputs.layout
    images = _generate(networks.G, batch.inputs, streams)
    align = config.align.weight > 0 and layout is not None
    augmented = _augmented(networks, images, streams)
    out = networks.D(augmented.images, batch.inputs.c, features=LEVEL_RESOLUTIONS if align else ())
    fooling = adversarial.ADVERSARIAL_LOSSES[config.loss.adversarial].generator(out.logits)
    loss = fooling.mean()
    statistics = {"loss/G": fooling, "scores/fake_G": out.logits}
    if align:
        layout = warped(layout, augmented.geometry)
        alignment = alignment_loss(out.logits, out.features, layout, config.align, images.shape[3], world)
        loss = loss + config.align.weight * alignment
        statistics["loss/align"] = alignment
    return loss, statistics


def g_path(
    networks: Networks, batch: Batch, config: RunConfig, streams: RandomStreams, world: World = ALONE
) -> LossAndStatistics:
    """Path length regularisation; moves networks.pl_mean."""
    ws = _styles(networks.G, batch.inputs)
    images = networks.G.synthesis(ws, batch.inputs.layout, Noise("random", streams["noise"]))
    noise = torch.randn(images.shape, generator=streams["path"], device=images.device)
    lengths = adversarial.path_lengths(images, ws, noise)
    batch_mean = world.mean(lengths.mean())
    penalty, mean = adversarial.path_length_penalty(lengths, networks.pl_mean, config.loss.pl_decay, batch_mean)
    networks.pl_mean.copy_(torch.where(mean.isfinite(), mean, networks.pl_mean).detach())
    return config.loss.pl_weight * penalty.mean(), {"loss/path_penalty": penalty, "path_length": lengths}


def g_move(
    networks: Networks, batch: Batch, config: RunConfig, streams: RandomStreams, world: World = ALONE
) -> LossAndStatistics:
    """Our regularisation of centre movement, in the manner of path lengths; moves networks.move_mean.

    A fixed step of a level-0 centre, in a random direction, is to change the image by a fixed amount: the authors' own
    suggestion against blur at heatmap borders (supplement of EqGAN-SA, section E). Finite differences, with the same
    noise before and after, so there is no second derivative.
    """
    layout, step = batch.inputs.layout, config.loss.move_step
    ws = _styles(networks.G, batch.inputs)
    moved = _randomly_moved(layout, step, streams["move"])
    noise_state = streams["noise"].get_state()
    before = networks.G.synthesis(ws, layout, Noise("random", streams["noise"]))
    streams["noise"].set_state(noise_state)
    after = networks.G.synthesis(ws, moved, Noise("random", streams["noise"]))
    speeds = adversarial.movement_speeds(before, after, step)
    batch_mean = world.mean(speeds.mean())
    penalty, mean = adversarial.path_length_penalty(speeds, networks.move_mean, config.loss.pl_decay, batch_mean)
    networks.move_mean.copy_(torch.where(mean.isfinite(), mean, networks.move_mean).detach())
    return config.loss.move_weight * penalty.mean(), {"loss/move_penalty": penalty, "move_speed": speeds}


def _randomly_moved(layout: Layout, step: float, stream: torch.Generator) -> Layout:
    """Every picture with one of its level-0 centres, drawn at random, `step` away from where it was."""
    centers = layout.centers[0]
    angle = torch.rand([len(layout)], generator=stream, device=centers.device) * (2 * torch.pi)
    chosen = torch.randint(centers.shape[1], [len(layout)], generator=stream, device=centers.device)
    for index in range(centers.shape[1]):
        now = step * (chosen == index)
        layout = layout.moved(0, index, now * angle.cos(), now * angle.sin())
    return layout


def d_main(
    networks: Networks, batch: Batch, config: RunConfig, streams: RandomStreams, world: World = ALONE
) -> LossAndStatistics:
    """Adversarial loss on generated and real images."""
    with torch.no_grad():
        images = _generate(networks.G, batch.inputs, streams)
    fake_images = _augmented(networks, images, streams).images
    real_images = _augmented(networks, batch.real_images, streams).images
    fake_c, real_c = batch.inputs.c, batch.real_c
    fake, real = logits_of_both(networks.D, config.discriminator, fake_images, fake_c, real_images, real_c)
    if networks.augment is not None:
        networks.augment.strength.observe(real, world)
    loss = adversarial.ADVERSARIAL_LOSSES[config.loss.adversarial].discriminator(fake, real)
    return loss.mean(), {"loss/D": loss, "scores/fake": fake, "scores/real": real, "signs/real": real.sign()}


def logits_of_both(
    D: DiscriminatorNetwork, config: DiscriminatorConfig, fake: Tensor, fake_c: Tensor, real: Tensor, real_c: Tensor
) -> tuple[Tensor, Tensor]:
    """Logits of generated and of real images [N, C, R, R]; on a GPU by one pass, which takes half the launches.

    There the two alternate: sample n is in group n mod (number of groups) of the minibatch standard deviation, so that
    the groups are those of two passes.
    """
    if kind_of(fake) != "cuda" or not BACKBONES[config.backbone].scores_both_at_once(config, len(fake)):
        return D(fake, fake_c).logits, D(real, real_c).logits
    images, labels = (torch.stack(pair, 1).flatten(0, 1) for pair in ((fake, real), (fake_c, real_c)))
    return D(images, labels).logits.unflatten(0, (-1, 2)).unbind(1)


def d_r1(
    networks: Networks, batch: Batch, config: RunConfig, streams: RandomStreams, world: World = ALONE
) -> LossAndStatistics:
    """R1 regularisation: gamma / 2 |d D(real) / d real|^2, real before augmentation."""
    real_images = batch.real_images.detach().requires_grad_()
    augmented = _augmented(networks, real_images, streams)
    penalty = adversarial.r1_penalty(networks.D(augmented.images, batch.real_c).logits, real_images)
    return config.loss.r1_gamma / 2 * penalty.mean(), {"loss/r1_penalty": penalty}


def _augmented(networks: Networks, images: Tensor, streams: RandomStreams) -> Augmented:
    if networks.augment is None:
        return Augmented(images, None)
    return networks.augment(images, streams["augment"])


def _generate(G: GeneratorNetwork, inputs: Inputs, streams: RandomStreams) -> Tensor:
    return G.synthesis(_styles(G, inputs), inputs.layout, Noise("random", streams["noise"]))


def _styles(G: GeneratorNetwork, inputs: Inputs) -> Tensor:
    """ws [N, num_ws, (codes,) w_dim] of training, mixed; the mean style follows."""
    mixing = inputs.mixing
    if mixing is None:
        return G.styles(inputs.z, inputs.c, update_w_avg=True, layout=inputs.layout)
    ws, others = _two_styles(G, inputs)
    late = torch.arange(G.num_ws, device=ws.device).view(-1, *[1] * (ws.ndim - 2)) >= mixing.crossover
    return torch.where(late, others, ws)


def _two_styles(G: GeneratorNetwork, inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Of the latents and of those to mix in; on a GPU by one pass through the mapping network."""
    z, other, c, layout = inputs.z, inputs.mixing.z, inputs.c, inputs.layout
    if kind_of(z) != "cuda" or G.takes_layout_in_latent:
        return G.styles(z, c, update_w_avg=True, layout=layout), G.styles(other, c, layout=layout)
    ws, others = G.styles(torch.cat([z, other]), torch.cat([c, c]), update_w_avg=len(z)).chunk(2)
    return ws, others
