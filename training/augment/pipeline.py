"""The augmentation pipeline: geometry, colors, filter, noise, cutout, in this order."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from torch_utils.ops import setup_filter
from training.augment import color, geometry
from training.augment.affine import Affine
from training.augment.corruption import add_noise, cut_out
from training.augment.draws import Draws
from training.augment.image_filter import filter_image
from training.augment.resample import resample
from training.augment.settings import AugmentConfig, TransformsConfig
from training.augment.strength import Strength
from training.augment.wavelets import octave_bank, symlet


@dataclass(frozen=True)
class Augmented:
    """Images [N, C, H, W], and where what they show comes from.

    geometry maps positions of an augmented image to those of its source, in layout coordinates; None where nothing
    moves. Beyond the source's borders the image is mirrored.
    """

    images: Tensor
    geometry: Affine | None


class AugmentPipe(nn.Module):
    """Random transforms of images, each with the probability p of `strength` times a multiplier of its own.

    Differentiable in the images, any number of times. At p = 0 images come back unchanged to the last bit.
    """

    taps: Tensor
    bank: Tensor

    def __init__(self, config: TransformsConfig, strength: Strength):
        super().__init__()
        self.config, self.strength = config, strength
        self.register_buffer("taps", setup_filter(list(symlet(6))), persistent=False)
        self.register_buffer("bank", torch.tensor(octave_bank(), dtype=torch.float32), persistent=False)

    def forward(self, images: Tensor, generator: torch.Generator) -> Augmented:
        """Images [N, 3 or 1, H, W] in [-1, 1], every sample transformed in its own way (values may leave the range).

        The numbers come from `generator`, on the images' device. On a GPU the host waits for nothing.
        """
        return self.transform(images, Draws(generator, len(images), images.dtype))

    def transform(self, images: Tensor, draws: Draws) -> Augmented:
        """The same with what `draws` decides."""
        config, p = self.config, self.strength.p
        source = None
        if geometry.is_wanted(config):
            pixels = geometry.draw_geometry(config, p, draws, images)
            images = resample(images, pixels, self.taps)
            source = pixels.normalized(images.shape[3], images.shape[2])
        if color.is_wanted(config, images.shape[1]):
            images = color.change_colors(config, p, draws, images)
        if config.imgfilter > 0:
            images = filter_image(config, p, draws, self.bank, images)
        if config.noise > 0:
            images = add_noise(config, p, draws, images)
        if config.cutout > 0:
            images = cut_out(config, p, draws, images)
        return Augmented(images, source)


def make_pipe(config: AugmentConfig, batch_size: int) -> AugmentPipe | None:
    """What `config` asks for; None for no augmentation. `batch_size`: real images in a training step."""
    if config.mode == "noaug":
        return None
    target = config.target if config.mode == "ada" else None
    return AugmentPipe(config.transforms, Strength(config.p, target, config.step(batch_size)))
