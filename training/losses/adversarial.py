"""Adversarial losses and their regularisers, as functions of tensors: those of StyleGAN2 (Karras et al. 2020)."""

from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dnnlib.registry import Registry


def generator_loss(fake: Tensor) -> Tensor:
    """Non-saturating logistic loss of the generator, per sample [N, 1]: softplus(-D(G(z)))."""
    return F.softplus(-fake)


def discriminator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """Logistic loss of the discriminator, per sample [N, 1]: softplus(D(fake)) + softplus(-D(real))."""
    return F.softplus(fake) + F.softplus(-real)


def generator_hinge_loss(fake: Tensor) -> Tensor:
    """Hinge version of adversarial training, per sample [N, 1]: -D(G(z)) (Miyato et al. 2018)."""
    return -fake


def relativistic_generator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """Relativistic pairing loss of the generator, per pair [N, 1]: softplus(D(x) - D(G(z))) (Huang et al. 2024)."""
    return F.softplus(real - fake)


def relativistic_discriminator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """The same of the discriminator, per pair [N, 1]: softplus(D(G(z)) - D(x))."""
    return F.softplus(fake - real)


def discriminator_hinge_loss(fake: Tensor, real: Tensor) -> Tensor:
    """The same, per sample [N, 1]: relu(1 + D(fake)) + relu(1 - D(real))."""
    return F.relu(1 + fake) + F.relu(1 - real)


class AdversarialLoss:
    """What the players play for: losses [N, K] of their logits [N, K]. A new one is a subclass, registered.

    K is 1, or the number of an image's patches that D scores.

    generator: a static method of the logits of generated images; with `is_relativistic` of those of as many real ones,
    too, generator(fake, real).
    """

    is_relativistic: ClassVar[bool] = False
    generator: ClassVar[Callable[..., Tensor]]

    @staticmethod
    def discriminator(fake: Tensor, real: Tensor) -> Tensor:
        """Of the logits of generated and of real images."""
        raise NotImplementedError


ADVERSARIAL_LOSSES: Registry[type[AdversarialLoss]] = Registry("adversarial loss", home="training.losses.adversarial")


@ADVERSARIAL_LOSSES.register("logistic")
class Logistic(AdversarialLoss):
    """The non-saturating logistic loss (Goodfellow et al. 2014)."""

    generator = staticmethod(generator_loss)
    discriminator = staticmethod(discriminator_loss)


@ADVERSARIAL_LOSSES.register("hinge")
class Hinge(AdversarialLoss):
    """The hinge loss (Lim and Ye 2017)."""

    generator = staticmethod(generator_hinge_loss)
    discriminator = staticmethod(discriminator_hinge_loss)


@ADVERSARIAL_LOSSES.register("relativistic")
class Relativistic(AdversarialLoss):
    """Each generated image against a real one (Jolicoeur-Martineau 2019; Huang et al. 2024, equation 2)."""

    is_relativistic = True
    generator = staticmethod(relativistic_generator_loss)
    discriminator = staticmethod(relativistic_discriminator_loss)


def r1_penalty(real_logits: Tensor, real_images: Tensor) -> Tensor:
    """|d D(x) / d x|^2 of each real image, [N] (Mescheder et al. 2018). `real_images` must require gradients.

    The same of generated images is R2.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), real_images, create_graph=True)
    return gradient.square().sum((1, 2, 3))


def path_lengths(images: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """|J^T y| of each sample, [N], for y = noise / sqrt(H W) and J = d images / d ws (Karras et al. 2020, section 3.2).

    images [N, C, H, W], ws [N, num_ws, w_dim] or [N, num_ws, codes, w_dim] (then all codes of an image count as one
    vector), noise: standard normal, of the shape of images.
    """
    y = noise / (images.shape[2] * images.shape[3]) ** 0.5
    (gradient,) = torch.autograd.grad((images * y).sum(), ws, create_graph=True)
    return gradient.square().flatten(2).sum(2).mean(1).sqrt()


def path_length_penalty(
    lengths: Tensor, mean_before: Tensor, decay: float, batch_mean: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """((length - mean)^2 per sample [N], the moving mean with these lengths in it; gradients flow through both).

    batch_mean: the mean length of the whole batch, where `lengths` is only a part of it.
    """
    mean = torch.lerp(mean_before, lengths.mean() if batch_mean is None else batch_mean, decay)
    return (lengths - mean).square(), mean


def movement_speeds(before: Tensor, after: Tensor, step: float) -> Tensor:
    """How fast images [N, C, H, W] change with a centre that moved by `step`: root mean square over pixels, [N].

    The root is smoothed at 0, where pictures that do not change at all would have no gradient.
    """
    return ((after - before).square().mean((1, 2, 3)) + 1e-12).sqrt() / step
