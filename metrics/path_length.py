"""Perceptual path length (Karras et al. 2019, section 4.1): how much a picture changes per step in latent space.

Both ends of a step have the same layout, noise and class: only the latent moves.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from metrics.features import chunks, image_seeds, in_order
from metrics.registry import MetricContext, Values, metric
from training.networks.precision import single_precision

EPSILON = 1e-4
NUM = 50_000
SIDE = 256  # larger pictures are averaged down to this, pixels

Space = Literal["z", "w"]


@metric("ppl2_wend", num=NUM, unit="images", extractor="lpips", uses_truncation_and_layout=True, reals=0)
def ppl2_wend(context: MetricContext, num: int) -> Values:
    """Perceptual path length in W at the ends of paths, whole pictures (StyleGAN2's)."""
    return {"ppl2_wend": path_length(context, num, "w", full=False, crop=False)}


@metric("ppl_zfull", num=NUM, unit="images", extractor="lpips", uses_truncation_and_layout=True, reals=0)
def ppl_zfull(context: MetricContext, num: int) -> Values:
    """Perceptual path length in Z along whole paths, middle of the pictures (StyleGAN's)."""
    return {"ppl_zfull": path_length(context, num, "z", full=True, crop=True)}


@metric("ppl_wfull", num=NUM, unit="images", extractor="lpips", uses_truncation_and_layout=True, reals=0)
def ppl_wfull(context: MetricContext, num: int) -> Values:
    """Perceptual path length in W along whole paths, middle of the pictures (StyleGAN's)."""
    return {"ppl_wfull": path_length(context, num, "w", full=True, crop=True)}


@metric("ppl_zend", num=NUM, unit="images", extractor="lpips", uses_truncation_and_layout=True, reals=0)
def ppl_zend(context: MetricContext, num: int) -> Values:
    """Perceptual path length in Z at the ends of paths, middle of the pictures (StyleGAN's)."""
    return {"ppl_zend": path_length(context, num, "z", full=False, crop=True)}


@metric("ppl_wend", num=NUM, unit="images", extractor="lpips", uses_truncation_and_layout=True, reals=0)
def ppl_wend(context: MetricContext, num: int) -> Values:
    """Perceptual path length in W at the ends of paths, middle of the pictures (StyleGAN's)."""
    return {"ppl_wend": path_length(context, num, "w", full=False, crop=True)}


def path_length(context: MetricContext, num: int, space: Space, full: bool, crop: bool) -> float:
    """Mean of the step lengths over EPSILON^2, without the shortest and longest hundredth."""
    lengths = step_lengths(context, num, EPSILON, space, full, crop)
    return trimmed_mean(lengths / EPSILON**2)


@torch.inference_mode()
def step_lengths(
    context: MetricContext, num: int, epsilon: float, space: Space, full: bool, crop: bool
) -> np.ndarray:
    """Perceptual distances [num] between the ends of steps of `epsilon` on paths between two random latents each.

    full: steps anywhere on the path, else at its beginning. Path number i depends on (seed, i) alone.
    """
    distance = context.extractors.perceptual_distance(context.device)
    mine = chunks(num, context.batch_size, context.world)
    found = []
    with single_precision(context.model.G.synthesis):  # half precision rounds more than such a step changes
        for numbers in context.bar(mine, "paths"):
            first, second = _ends_of_steps(context, list(numbers), epsilon, space, full)
            found.append(distance(prepare(first, crop), prepare(second, crop)).double())
    lengths = torch.cat(found) if found else torch.zeros(0, dtype=torch.float64, device=context.device)
    return in_order(lengths, num, context.batch_size, context.world).cpu().numpy()


def _ends_of_steps(
    context: MetricContext, numbers: list[int], epsilon: float, space: Space, full: bool
) -> tuple[Tensor, Tensor]:
    """Images [N, C, R, R] at both ends, computed alike, so that a step of no length has equal ones."""
    model = context.model
    seeds = image_seeds(context.seed, [2 * i for i in numbers])
    z0, z1 = (model.latents(s).double() for s in (seeds, image_seeds(context.seed, [2 * i + 1 for i in numbers])))
    labels = context.labels_of(numbers)
    positions = [np.random.default_rng([context.seed, i]).random() * full for i in numbers]
    t = torch.tensor(positions, dtype=torch.float64, device=model.device)
    layout = context.layout_of(numbers, seeds)

    def styles(latents: Tensor) -> Tensor:
        psi = context.network.truncation_psi
        return model.styles(seeds, z=latents, labels=labels, layout=layout, truncation_psi=psi)

    def image(position: Tensor) -> Tensor:
        length = torch.lerp(_length(z0), _length(z1), _beside(position, z0))  # not every network normalizes z
        mapping = styles if space == "w" else lambda point: styles(point * length)
        ws = point_on_path(z0, z1, position, space, mapping)
        return model.images(seeds, ws=ws, layout=layout, noise_mode="random", batch_size=len(seeds))

    return image(t), image(t + epsilon)


def _length(z: Tensor) -> Tensor:
    return z.norm(dim=-1, keepdim=True)


def point_on_path(z0: Tensor, z1: Tensor, t: Tensor, space: Space, mapping: Callable[[Tensor], Tensor]) -> Tensor:
    """ws [N, *w_shape] at t [N] of the way: on a great circle between z0 and z1 [N, *latent_shape], or straight in W.

    Positions are float64: in float32 a step of 1e-4 has three digits.
    """
    if space == "z":
        return mapping(slerp(z0.double(), z1.double(), _beside(t, z0)))
    ws = mapping(z0).double()
    return torch.lerp(ws, mapping(z1).double(), _beside(t, ws))


def _beside(t: Tensor, x: Tensor) -> Tensor:
    """t [N] as [N, 1, ...], with as many dimensions as `x`."""
    return t.view(-1, *[1] * (x.ndim - 1))


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Unit vectors t [..., 1] of the way from the direction of a [..., F] to that of b."""
    a, b = (v / v.norm(dim=-1, keepdim=True) for v in (a, b))
    cosine = (a * b).sum(-1, keepdim=True)
    angle = t * cosine.clamp(-1, 1).acos()
    across = b - cosine * a
    across = across / across.norm(dim=-1, keepdim=True)
    point = a * angle.cos() + across * angle.sin()
    return point / point.norm(dim=-1, keepdim=True)


def prepare(images: Tensor, crop: bool) -> Tensor:
    """Images [N, C, R, R] in [-1, 1] as the perceptual distance takes them: 0 to 255, not larger than SIDE.

    crop: only the middle of the picture, where faces are: rows 3/8 to 7/8 and columns 2/8 to 6/8.
    """
    size = images.shape[-1]
    if crop:
        eighth = size // 8
        images = images[:, :, 3 * eighth : 7 * eighth, 2 * eighth : 6 * eighth]
    if size > SIDE:
        images = torch.nn.functional.avg_pool2d(images, size // SIDE)
    return (images + 1) * 127.5


def trimmed_mean(values: np.ndarray) -> float:
    """Mean of what lies between the 1st and 99th percentile, both included."""
    low = np.percentile(values, 1, method="lower")
    high = np.percentile(values, 99, method="higher")
    return float(values[(values >= low) & (values <= high)].mean())
