"""Where things are in pictures, as their pixels alone say: to judge edits by other means than they are made with."""

import torch
from scipy import ndimage
from torch import Tensor

from editing.point_tracking import sample_features, square
from editing.registration import pixel_size
from training.config import Registration
from training.layouts.registration import positions

DEGREE = 3  # of the surface that a background is
ROUNDS = 20  # of fitting it
THRESHOLD = 0.5  # difference from the background, summed over channels, from which a pixel is an object's
HALF = 8  # a patch reaches so many parts of a picture's side about its middle
CHUNK = 1024  # places at a time
FINE = 4  # the last search is by so many parts of a pixel


def object_mask(image: Tensor) -> Tensor:
    """The largest thing in front of a smooth background: image [C, H, W] in [-1, 1] -> bool [H, W].

    The background is a polynomial surface with the least sum of absolute differences.
    """
    height, width = image.shape[1:]
    x, y = positions(width, "cells", image), positions(height, "cells", image)
    powers = [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]
    basis = torch.stack([(y**j)[:, None] * (x**i) for i, j in powers], -1).flatten(0, 1).double()  # [H W, 10]
    pixels = image.flatten(1).T.double()  # [H W, C]
    difference = pixels - pixels.median(0).values
    for _ in range(ROUNDS):
        weights = difference.abs().sum(1, keepdim=True).clamp_min(1e-3).rsqrt()
        surface = basis @ torch.linalg.lstsq(weights * basis, weights * pixels).solution
        difference = pixels - surface
    stands_out = (difference.abs().sum(1) > THRESHOLD).unflatten(0, (height, width))
    labels, count = ndimage.label(stands_out.numpy())
    sizes = [int((labels == n).sum()) for n in range(1, count + 1)]
    if not sizes:
        return stands_out
    return torch.from_numpy(labels == 1 + sizes.index(max(sizes)))


def found_again(
    before: Tensor, after: Tensor, place: tuple[float, float], mask: Tensor, registration: Registration
) -> tuple[float, float]:
    """Where in a picture the patch is that was about `place` (x, y) in another one.

    before, after [C, R, R]; mask [R, R]: pixels of `before` that count. The place with the least mean squared
    difference of the pixels, in the whole picture, to a quarter of a pixel.
    """
    side = before.shape[2]
    pixel = pixel_size(side, registration)
    offsets = square(side / HALF * pixel, pixel, before)
    at = torch.tensor(place, dtype=before.dtype) + offsets
    wanted = sample_features(before[None], at, registration)  # [K, C]
    weights = sample_features(mask[None, None].to(before), at, registration)  # [K, 1]

    def nearest(places: Tensor) -> Tensor:
        costs = []
        for some in places.split(CHUNK):
            seen = sample_features(after[None], some[:, None] + offsets, registration)
            costs.append(((seen - wanted).square() * weights).sum((1, 2)))
        return places[torch.cat(costs).argmin()]

    rough = nearest(square(1.0, pixel, before))
    x, y = nearest(rough + square(pixel, pixel / FINE, before)).tolist()
    return x, y
