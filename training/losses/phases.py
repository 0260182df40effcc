"""What a training step consists of: four phases, each a loss over one network.

G main (adversarial + alignment), G path (path length regularisation), D main, D R1; off by default G move, which
regularises how pictures follow their centres, and D R2. D sees images, generated or real, after augmentation. Every
random number comes from the streams given; every loss is a scalar; statistics stay on the device. What is a mean over a
whole batch, the ranks of `world` work out together.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from torch_utils.devices import device_kind
from torch_utils.distributed import ALONE, World
from torch_utils.randomness import RandomStreams
from training.augment.layouts import warped
from training.augment.pipeline import Augmented, AugmentPipe
from training.config import DiscriminatorConfig, RunConfig
from training.inputs import Batch, Inputs
from training.layouts.layout import LEVEL_RESOLUTIONS, Layout
from training.losses import adversarial, regularizers
from training.losses.attention import alignment_loss
from training.losses.conditional import (
    feature_distance,
    kl_to_standard_normal,
    matching_aware,
    wrong_conditions,
)
from training.losses.orthogonal import orthogonal_penalty
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
    one derivative and one backward pass through it (GradCAM and R1 take more). `n_dis`: G has only every so many steps,
    and `interval` is a multiple of it.
    """

    name: str
    trained: str
    interval: int
    loss: PhaseLoss
    batch_shrink: int = 1
    uses_compiled_D: bool = False
    n_dis: int = 1

    @property
    def grad_scale(self) -> int:
        return self.interval // self.n_dis

    def generated(self, per_pass: int) -> int:
        """How many images a pass over `per_pass` real ones generates."""
        return max(per_pass // self.batch_shrink, 1) if self.batch_shrink else 0


def make_phases(config: RunConfig) -> list[Phase]:
    """The phases of a step in order; regularisers of weight 0 are left out."""
    loss, n, shrink = config.loss, config.loss.n_dis, config.loss.pl_batch_shrink
    phases = [Phase("G_main", "G", n, g_main, n_dis=n)]
    if loss.pl_weight > 0:
        interval = config.generator_optimizer.reg_interval
        phases.append(Phase("G_path", "G", interval * n, g_path, batch_shrink=shrink, n_dis=n))
    if loss.move_weight > 0 and config.generator.encoding is not None:
        phases.append(Phase("G_move", "G", loss.move_interval * n, g_move, batch_shrink=shrink, n_dis=n))
    return phases + _phases_of_D(config)


def _phases_of_D(config: RunConfig) -> list[Phase]:
    loss, interval = config.loss, config.discriminator_optimizer.reg_interval
    if not loss.lazy:
        return [Phase("D_main", "D", 1, d_main, uses_compiled_D=loss.r1_gamma == loss.r2_gamma == 0)]
    phases = [Phase("D_main", "D", 1, d_main, uses_compiled_D=True)]
    if loss.r1_gamma > 0:
        phases.append(Phase("D_r1", "D", interval, d_r1, batch_shrink=0))
    if loss.r2_gamma > 0:
        phases.append(Phase("D_r2", "D", interval, d_r2))
    return phases


def g_main(
    networks: Networks, batch: Batch, config: RunConfig, streams: RandomStreams, world: World = ALONE
) -> LossAndStatistics:
    """Adversarial loss, plus the alignment of D's attention with the layout (one pass through D)."""
    matching = config.loss.feature_matching > 0
    inputs = _beside_real(batch) if matching or _is_relativistic(config) else batch.for_G
    layout = inputs.layout
    images = _generate(networks.G, inputs, streams)
    align = config.align.weight > 0 and layout is not None
    drawn = streams["augment"].get_state() if matching else torch.empty(0)
    augmented = _augmented(networks, images, streams)
    matched = BACKBONES[config.discriminator.backbone].features(config.discriminator) if matching else ()
    out = networks.D(augmented.images, inputs.c, features={*matched, *(LEVEL_RESOLUTIONS if align else ())})
    fooling = _fooling(networks, out.logits, batch, config, streams)
    loss = fooling.mean()
    statistics = {"loss/G": fooling, "scores/fake_G": out.logits}
    if matching:
        streams["augment"].set_state(drawn)  # both images of a pair are changed alike
        with torch.no_grad():
            real = networks.D(_augmented(networks, batch.real_images, streams).images, inputs.c, features=matched)
        statistics["loss/G_features"] = feature_distance(out.features, real.features, config.loss.matched)
        loss = loss + config.loss.feature_matching * statistics["loss/G_features"]
    if config.loss.kl_weight > 0:
        statistics["loss/G_kl"] = kl_to_standard_normal(*cast(Any, networks.G).condition_gaussian(inputs.c))
        loss = loss + config.loss.kl_weight * statistics["loss/G_kl"].mean()
    if config.loss.g_orthogonal > 0:
        statistics["loss/G_orthogonal"] = orthogonal_penalty(networks.G, config.loss.orthogonal_form)
        loss = loss + config.loss.g_orthogonal * statistics["loss/G_orthogonal"]
    heard = {r: feature for r, feature in out.features.items() if align and r in LEVEL_RESOLUTIONS}
    if layout is not None and heard:  # of networks that grow, only as far as they are
        places = warped(layout, augmented.geometry, images.shape[3])
        alignment = alignment_loss(out.logits, heard, places, config.align, images.shape[3], world)
        loss = loss + config.align.weight * alignment
        statistics["loss/align"] = alignment
    return loss, statistics


def _beside_real(batch: Batch) -> Inputs:
    """G's inputs with the conditions of the real images, for losses that compare the two of a pair."""
    return replace(batch.for_G, c=batch.real_c)


def _is_relativistic(config: RunConfig) -> bool:
    return adversarial.ADVERSARIAL_LOSSES[config.loss.adversarial].is_relativistic


def _fooling(networks: Networks, fake: Tensor, batch: Batch, config: RunConfig, streams: RandomStreams) -> Tensor:
    """G's adversarial loss [N, 1] of the logits of its images; a relativistic one looks at real images, too."""
    loss = adversarial.ADVERSARIAL_LOSSES[config.loss.adversarial]
    if not loss.is_relativistic:
        return loss.generator(fake)
    with torch.no_grad():
        real = networks.D(_augmented(networks, batch.real_images, streams).images, batch.real_c).logits
    return loss.generator(fake, real)


def g_path(
    networks: Networks, batch: Batch, config: RunConfig, streams: RandomStreams, world: World = ALONE
) -> LossAndStatistics:
    """Path length regularisation; moves networks.pl_mean."""
    ws = _styles(networks.G, batch.for_G)
    images = networks.G.synthesis(ws, batch.for_G.layout, Noise("random", streams["noise"]))
    noise = torch.randn(images.shape, generator=streams["path"], device=images.device)
    lengths = regularizers.path_lengths(images, ws, noise)
    batch_mean = world.mean(lengths.mean())
    penalty, mean = regularizers.path_length_penalty(
        lengths, networks.pl_mean, batch.speed(config.loss.pl_decay), batch_mean
    )
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
    layout, step = batch.for_G.layout, config.loss.move_step
    assert layout is not None, "this phase is of networks that take layouts"
    ws = _styles(networks.G, batch.for_G)
    moved = _randomly_moved(layout, step, streams["move"])
    noise_state = streams["noise"].get_state()
    before = networks.G.synthesis(ws, layout, Noise("random", streams["noise"]))
    streams["noise"].set_state(noise_state)
    after = networks.G.synthesis(ws, moved, Noise("random", streams["noise"]))
    speeds = regularizers.movement_speeds(before, after, step)
    batch_mean = world.mean(speeds.mean())
    penalty, mean = regularizers.path_length_penalty(
        speeds, networks.move_mean, batch.speed(config.loss.pl_decay), batch_mean
    )
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
    """Adversarial loss on generated and real images; with R1 and R2, where they are not lazy."""
    settings, real_given = config.loss, batch.real_images
    inputs = _beside_real(batch) if _is_relativistic(config) else batch.for_G
    with torch.no_grad():
        images = _generate(networks.G, inputs, streams)
    if not settings.lazy:
        images, real_given = images.requires_grad_(), real_given.detach().requires_grad_()
    fake_images = _augmented(networks, images, streams).images
    real_images = _augmented(networks, real_given, streams).images
    fake_c, real_c = inputs.c, batch.real_c
    fake, real = logits_of_both(networks.D, config.discriminator, fake_images, fake_c, real_images, real_c)
    if networks.augment is not None:
        networks.augment.strength.observe(real, world)
    discriminator = adversarial.ADVERSARIAL_LOSSES[settings.adversarial].discriminator
    if settings.matching_aware:
        wrong_c = wrong_conditions(real_c)
        wrong = networks.D(real_images, wrong_c).logits
        losses = matching_aware(discriminator, fake, real, wrong, (wrong_c != real_c).any(1))
    else:
        wrong, losses = None, discriminator(fake, real)
    loss = losses.mean()
    statistics = {"loss/D": losses, "scores/fake": fake, "scores/real": real, "signs/real": real.sign()}
    statistics |= {} if wrong is None else {"scores/wrong": wrong}
    if not settings.lazy:
        for name, gamma, logits, of in (("r1", settings.r1_gamma, real, real_given),
                                        ("r2", settings.r2_gamma, fake, images)):  # fmt: skip
            if gamma > 0:
                penalty = regularizers.r1_penalty(logits, of)
                statistics[f"loss/{name}_penalty"], loss = penalty, loss + gamma / 2 * penalty.mean()
    if settings.d_orthogonal > 0:
        statistics["loss/D_orthogonal"] = orthogonal_penalty(networks.D, settings.orthogonal_form)
        loss = loss + settings.d_orthogonal * statistics["loss/D_orthogonal"]
    return loss, statistics


def logits_of_both(
    D: DiscriminatorNetwork, config: DiscriminatorConfig, fake: Tensor, fake_c: Tensor, real: Tensor, real_c: Tensor
) -> tuple[Tensor, Tensor]:
    """Logits of generated and of real images [N, C, R, R]; on a GPU by one pass, which takes half the launches.

    There the two alternate: sample n is in group n mod (number of groups) of the minibatch standard deviation, so that
    the groups are those of two passes.
    """
    if device_kind(fake) != "cuda" or not BACKBONES[config.backbone].scores_both_at_once(config, len(fake)):
        return D(fake, fake_c).logits, D(real, real_c).logits
    images, labels = (torch.stack(pair, 1).flatten(0, 1) for pair in ((fake, real), (fake_c, real_c)))
    return D(images, labels).logits.unflatten(0, (-1, 2)).unbind(1)  # twice [N, 1]


def d_r1(
    networks: Networks, batch: Batch, config: RunConfig, streams: RandomStreams, world: World = ALONE
) -> LossAndStatistics:
    """R1 regularisation: gamma / 2 |d D(real) / d real|^2, real before augmentation."""
    real_images = batch.real_images.detach().requires_grad_()
    augmented = _augmented(networks, real_images, streams)
    penalty = regularizers.r1_penalty(networks.D(augmented.images, batch.real_c).logits, real_images)
    return config.loss.r1_gamma / 2 * penalty.mean(), {"loss/r1_penalty": penalty}


def d_r2(
    networks: Networks, batch: Batch, config: RunConfig, streams: RandomStreams, world: World = ALONE
) -> LossAndStatistics:
    """R2 regularisation: the same of generated images (Mescheder et al. 2018)."""
    with torch.no_grad():
        images = _generate(networks.G, batch.for_G, streams)
    images.requires_grad_()
    augmented = _augmented(networks, images, streams)
    penalty = regularizers.r1_penalty(networks.D(augmented.images, batch.for_G.c).logits, images)
    return config.loss.r2_gamma / 2 * penalty.mean(), {"loss/r2_penalty": penalty}


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
    ws, others = _two_styles(G, inputs, mixing.z)
    late = torch.arange(G.num_ws, device=ws.device).view(-1, *[1] * (ws.ndim - 2)) >= mixing.crossover
    return torch.where(late, others, ws)


def _two_styles(G: GeneratorNetwork, inputs: Inputs, other: Tensor) -> tuple[Tensor, Tensor]:
    """Of the latents and of others, to mix in; on a GPU by one pass through the mapping network."""
    z, c, layout = inputs.z, inputs.c, inputs.layout
    if device_kind(z) != "cuda" or G.takes_layout_in_latent:
        return G.styles(z, c, update_w_avg=True, layout=layout), G.styles(other, c, layout=layout)
    ws, others = G.styles(torch.cat([z, other]), torch.cat([c, c]), update_w_avg=len(z)).chunk(2)
    return ws, others
