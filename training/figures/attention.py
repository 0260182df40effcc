"""Where D looks: GradCAM at its features, over real and generated images (EqGAN-SA, figure 2)."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from dnnlib.errors import UserError
from training.config import AlignConfig, DiscriminatorConfig
from training.figures.cells import image_cells, overlay_cells
from training.figures.subject import ImagesWithLabels, ModelUnderStudy
from training.figures.table import Group, Row, Table
from training.losses.attention import attention_map, channel_weights, normalize
from training.networks.backbones import DiscriminatorNetwork

LARGEST_SHOWN = 64  # resolution of a feature; attention at larger ones only traces edges
SCALE = ("contributes nothing", "most of this map")
VARIANTS = {
    "paper": AlignConfig(gradient="logits", relu="sum"),
    "released": AlignConfig(gradient="loss", relu="channel"),
}


def shown_resolutions(config: DiscriminatorConfig) -> list[int]:
    """Of D's features, from the largest shown down to 4. Raises UserError when D has none."""
    first = min(config.img_resolution // 2, LARGEST_SHOWN)
    if first < 4:
        raise UserError(f"D of {config.img_resolution}x{config.img_resolution} images has no features to look at")
    return [2**k for k in range(first.bit_length() - 1, 1, -1)]


def chosen_resolutions(config: DiscriminatorConfig, level: int | None) -> list[int]:
    """Those of one level (0, 1, 2 are 4x4, 8x8, 16x16), or of all levels there are, finest first.

    Raises UserError when D has no feature of that level.
    """
    available = [r for r in shown_resolutions(config) if r <= 16]
    if level is None:
        return available
    if 4 << level not in available:
        side = config.img_resolution
        raise UserError(f"D of {side}x{side} images has no {4 << level}x{4 << level} feature, so no level {level}")
    return [4 << level]


def gradcam_config(subject: ModelUnderStudy, gradcam: str) -> AlignConfig:
    """How attention is read: "run": as the run's alignment loss reads it; "paper"; "released"."""
    return subject.config.align if gradcam == "run" else VARIANTS[gradcam]


def attention(
    D: DiscriminatorNetwork, seen: ImagesWithLabels, config: AlignConfig, resolutions: Sequence[int]
) -> dict[int, Tensor]:
    """{r: GradCAM of each picture, [N, 1, r, r] in [0, 1]} at D's features of those resolutions.

    Minibatch standard deviation compares the pictures of a call with each other; those that are missing in the last
    group are filled up with the first ones. Raises UserError where D has not grown so far yet.
    """
    count = len(seen.images)
    filled = [n % count for n in range(count + -count % min(D.config.mbstd_group_size or count, count))]
    images = seen.images[filled].clone().requires_grad_()  # a gradient reaches features only from an input with one
    out = D(images, None if seen.labels is None else seen.labels[filled], features=resolutions)
    check_grown(resolutions, out.features)
    weights = channel_weights(out.logits, out.features, config.gradient)
    return {
        r: normalize(attention_map(weights[r], out.features[r], config.relu)).detach()[:count] for r in resolutions
    }


def check_grown(wanted: Sequence[int], found: Mapping[int, Tensor]) -> None:
    """Raises UserError when a network that grows does not have features of all these resolutions yet."""
    missing = [r for r in wanted if r not in found]
    if missing:
        r = min(missing)
        raise UserError(f"a network of this snapshot has not grown to features of {r}x{r} yet; give a later snapshot")


def attention_figure(
    subject: ModelUnderStudy, count: int = 4, seed: int = 0, seeds: Sequence[int] | None = None, gradcam: str = "run"
) -> Table:
    """Rows are `count` real images, chosen by `seed`, and generated ones (`seeds`: 0 to count - 1 by default).

    Columns: the image, and D's attention at its features, from fine to coarse.
    """
    config, resolutions = gradcam_config(subject, gradcam), shown_resolutions(subject.config.discriminator)
    seen = {"real": subject.real(count, seed), "generated": subject.generated(seeds or range(count))}
    groups = []
    for label, pictures in seen.items():
        maps = attention(subject.D, pictures, config, resolutions)
        columns = [image_cells(pictures.images), *(overlay_cells(maps[r], pictures.images) for r in resolutions)]
        groups.append(Group([Row(cells) for cells in zip(*columns, strict=True)], label))
    return Table(
        "Visual attention of the discriminator",
        ["image", *map(square, resolutions)],
        groups,
        f"{subject.name}. {describe(config)}; each map is scaled to its own range and resized from its feature.",
        SCALE,
    )


def square(resolution: int) -> str:
    """'8 × 8'."""
    return f"{resolution} × {resolution}"


def describe(config: AlignConfig) -> str:
    """How GradCAM was computed, in words."""
    gradient = "the logits" if config.gradient == "logits" else "the generator's loss"
    relu = "of the sum over channels" if config.relu == "sum" else "of each channel"
    return f"GradCAM with the gradient of {gradient} and the relu {relu}"
