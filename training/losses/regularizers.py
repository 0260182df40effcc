"""R1, path lengths and the speed of movements: regularizers of StyleGAN2 (Karras et al. 2020) and one of ours."""

import torch
from torch import Tensor


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
