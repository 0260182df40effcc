"""Adversarial losses, as functions of logits; which of them is trained with, `loss.adversarial` says."""

from collections.abc import Callable
from typing import ClassVar

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
