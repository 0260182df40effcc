"""Losses about conditions: matched features (SPADE), matching-aware scores and conditioning augmentation (StackGAN)."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def feature_distance(fake: Mapping[int, Tensor], real: Mapping[int, Tensor], matched: str = "images") -> Tensor:
    """How far D's features of generated images are from those of real ones, a scalar; real ones are constants.

    {resolution: features [N, C, r, r]} of both. "images": mean |f(x) - f(G(z))| over pixels, channels and pairs, then
    over resolutions (Wang et al. 2018, equation 3, has the sum over them, and over D's scales; Park et al. 2019), where
    a pair has one condition. "batches": the same of the means over the images of a pass (Salimans et al. 2016, section
    3.1), for images without any.
    """
    pairs = [(fake[r], real[r].detach()) for r in real]
    if matched == "batches":
        pairs = [(ours.mean(0), theirs.mean(0)) for ours, theirs in pairs]
    return torch.stack([(ours - theirs).abs().mean() for ours, theirs in pairs]).mean()


def wrong_conditions(c: Tensor) -> Tensor:
    """Conditions [N, c_dim] of other images: each has that of the one before it, the first that of the last."""
    return c.roll(1, dims=0)


def matching_aware(
    discriminator: Callable[[Tensor, Tensor], Tensor], fake: Tensor, real: Tensor, wrong: Tensor, is_wrong: Tensor
) -> Tensor:
    """D's loss of three scores, [N, K]: with the logistic loss, of s = sigmoid(logits),

        -log(s_r) - (log(1 - s_w) + log(1 - s_f)) / 2

    (Reed et al. 2016; Zhang et al. 2017). discriminator: an adversarial loss of D, (fake, real) -> [N, K]. fake: logits
    of generated images, real: of real images with their own condition, wrong: of real images with another's; is_wrong
    [N]: where it is another one indeed. Elsewhere the generated image counts twice.
    """
    losses = discriminator(fake, real)
    return (losses + torch.where(is_wrong[:, None], discriminator(wrong, real), losses)) / 2


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, I)) of each row of [N, D]: the sum of (mean^2 + variance - 1 - log variance) / 2."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
