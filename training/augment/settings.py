"""The settings of augmentation, off by default; training/config.py has those of everything else."""

from typing import Literal

from training.settings import Count, Fraction, Kimg, NonNegative, Section, Spreading


class TransformsConfig(Section):
    """What augmentation does: the chance of each transform as a multiple of p, and how far it goes.

    Standard deviations are those of normal distributions; where a factor is drawn, of its logarithm to base 2. The
    defaults are the pipe bgc (training/augment/pipes.py has the others).
    """

    xflip: NonNegative = 1  # mirror
    rotate90: NonNegative = 1  # quarter turns
    xint: NonNegative = 1  # shift by whole pixels
    scale: NonNegative = 1
    rotate: NonNegative = 1  # by any angle
    aniso: NonNegative = 1  # stretch along one direction, shrink across it
    xfrac: NonNegative = 1  # shift by fractions of a pixel
    brightness: NonNegative = 1
    contrast: NonNegative = 1
    lumaflip: NonNegative = 1  # light for dark, hue kept
    hue: NonNegative = 1
    saturation: NonNegative = 1
    imgfilter: NonNegative = 0  # amplify or weaken octaves
    noise: NonNegative = 0
    cutout: NonNegative = 0
    xint_max: Spreading = 0.125  # of the image's side
    scale_std: Spreading = 0.2
    rotate_max: Fraction = 1  # of half a turn
    aniso_std: Spreading = 0.2
    xfrac_std: Spreading = 0.125  # of the image's side
    brightness_std: Spreading = 0.2
    contrast_std: Spreading = 0.5
    hue_max: Fraction = 1  # of half a turn
    saturation_std: Spreading = 1
    imgfilter_bands: tuple[NonNegative, NonNegative, NonNegative, NonNegative] = (1, 1, 1, 1)  # lowest octave first
    imgfilter_std: Spreading = 1
    noise_std: Spreading = 0.1
    cutout_size: Fraction = 0.5  # of the image's side


class AugmentConfig(Section):
    """Augmentation of what D sees, generated and real (Karras et al. 2020, "Training GANs with Limited Data").

    noaug: none, as the papers of the methods here train. fixed: with probability p. ada: p begins where it is set and
    follows the mean sign of D's logits of real images.
    """

    mode: Literal["noaug", "ada", "fixed"] = "noaug"
    p: Fraction = 0
    target: Fraction = 0.6  # mean sign to hold: above it, D is thought to know its images by heart
    interval: Count = 4  # steps from one change of p to the next
    kimg: Kimg = 500  # thousands of images in which p can go from 0 to 1
    transforms: TransformsConfig = TransformsConfig()

    def step(self, batch_size: int) -> float:
        """How far p moves at a time."""
        return batch_size * self.interval / (self.kimg * 1000)
