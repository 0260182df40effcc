"""What every detector returns."""

from typing import NamedTuple, Protocol

from torch import Tensor


class Instances(NamedTuple):
    """The objects of one picture: masks bool [n, H, W], the surest first, and features [n, d] to recognise them by."""

    masks: Tensor
    features: Tensor


class Detector(Protocol):
    """Finds objects. `name` goes into the results."""

    name: str

    def __call__(self, images: Tensor) -> list[Instances]:
        """Images [N, C, H, W] in [-1, 1] -> the objects of each, on the images' device."""
        ...


def match(wanted: Tensor, features: Tensor) -> int:
    """Which of features [n, d] is nearest to `wanted` [d] (SpatialGAN: "the smallest feature distance")."""
    return int((features - wanted).square().sum(1).argmin())
