"""Objects found by colour, without weights: for toy and composed scenes, whose background is constant along each row.

A pixel that differs from its row's background is an object's. Where a scene may hold several objects, touching ones
are told apart by colour: an object has one colour with its tints (mixtures with white) and shades (with black).
"""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from metrics.detectors.instances import Instances

THRESHOLD = 0.35  # colour distance (absolute, summed over channels in [-1, 1]) from the background, or between objects
SMALLEST = 0.004  # share of the picture below which a spot is no object
GAP = 16  # spots nearer than 1 / GAP of the side are one object
RIM = 16  # 1 / RIM of the side: how far from the picture's border, and how wide, the strips are that show background
SMALLEST_PART = 0.01  # share of the picture below which a colour is no object of its own
SMOOTHED = 3  # the median of all guesses for 1 / SMOOTHED of the rows tells which one of a row's is right
TINTED, SHADED = 0.75, 0.55  # most of white, and of black, in an object's colours
CANDIDATES = 200  # pixels among which an object's main colour is looked for
AREA_WEIGHT = 2.0  # of the square root of an object's share of the picture, beside colours, in its features

Array = np.ndarray


class ColorDetector:
    """`one_object`: whatever hangs together is one object; otherwise it is split by colour."""

    def __init__(self, one_object: bool):
        self.one_object = one_object
        self.name = "color, one object" if one_object else "color"

    def __call__(self, images: Tensor) -> list[Instances]:
        pictures = images.detach().clamp(-1, 1).permute(0, 2, 3, 1).double().cpu().numpy()
        return [self._find(picture, images.device) for picture in pictures]

    def _find(self, picture: Array, device: torch.device) -> Instances:
        masks = foreground_parts(picture)
        if not self.one_object:
            masks = [part for mask in masks for part in split_by_color(picture, mask)]
        masks.sort(key=lambda mask: -mask.sum())
        height, width, channels = picture.shape
        found = np.array(masks, dtype=bool).reshape(-1, height, width)
        features = np.array([describe(picture, mask) for mask in masks]).reshape(-1, channels + 1)
        return Instances(torch.from_numpy(found).to(device), torch.from_numpy(features).float().to(device))


def describe(picture: Array, mask: Array) -> Array:
    """Features [C + 1] of an object: its mean colour, and its size."""
    return np.append(picture[mask].mean(0), AREA_WEIGHT * mask.mean() ** 0.5)


def background_colors(picture: Array) -> Array:
    """The background's colour of each row, [H, C].

    Of three guesses, the medians of the row and of a strip at either side, it is the one nearest to what the rows
    around say (or, with none near, just that), so that objects may cover two of the three.
    """
    width = picture.shape[1]
    rim = max(width // RIM, 1)
    strips = picture, picture[:, rim : 3 * rim], picture[:, width - 3 * rim : width - rim]
    guesses = np.stack([np.median(strip, axis=1) for strip in strips])  # [3, H, C]
    around = ndimage.median_filter(guesses, (3, len(picture) // SMOOTHED | 1, 1), mode="nearest")[1]
    distances, rows = np.abs(guesses - around).sum(2), np.arange(len(picture))
    nearest = distances.argmin(0)
    return np.where(distances.min(0)[:, None] < 2 * THRESHOLD, guesses[nearest, rows], around)


def background_distance(picture: Array) -> Array:
    """How far the pixels of a picture [H, W, C] are from their row's background, or, where a wall meets a floor, from
    any mixture of those above and below: [H, W], summed over channels."""
    colors = background_colors(picture)
    padded = np.pad(colors, ((1, 1), (0, 0)), mode="edge")
    above, below = padded[:-2, None], padded[2:, None]
    way = below - above
    share = ((picture - above) * way).sum(2, keepdims=True) / np.maximum((way**2).sum(2, keepdims=True), 1e-9)
    mixtures = above + share.clip(0, 1) * way
    return np.minimum(np.abs(picture - colors[:, None]).sum(2), np.abs(picture - mixtures).sum(2))


def foreground_parts(picture: Array) -> list[Array]:
    """Masks [H, W] of the spots that stand out from a picture [H, W, C]; those with small gaps between are one."""
    stands_out = background_distance(picture) > THRESHOLD
    reach = stands_out.shape[0] // GAP // 2
    joined = ndimage.binary_dilation(stands_out, np.ones((3, 3)), iterations=reach) if reach else stands_out
    numbers, count = ndimage.label(joined, np.ones((3, 3)))
    parts = [stands_out & (numbers == number) for number in range(1, count + 1)]
    return [part for part in parts if part.mean() >= SMALLEST]


def split_by_color(picture: Array, mask: Array) -> list[Array]:
    """The objects in one spot. The commonest colour with its tints and shades is an object, then the commonest of
    what is left; pixels of no object, such as blurred edges, go to the nearest one."""
    rest, parts = mask.copy(), []
    while rest.mean() >= SMALLEST_PART:
        color = main_color(picture[rest])
        alike = np.zeros_like(rest)
        alike[rest] = tint_distance(picture[rest], color) < THRESHOLD
        numbers, count = ndimage.label(alike, np.ones((3, 3)))
        spots = [numbers == number for number in range(1, count + 1)]
        parts += [spot for spot in spots if spot.mean() >= SMALLEST_PART]
        rest &= ~alike
    return _filled(parts, mask) if parts else [mask]


def main_color(colors: Array) -> Array:
    """The colour [C] that most of colors [n, C] are near to."""
    candidates = colors[:: -(-len(colors) // CANDIDATES)]
    near = np.abs(candidates[:, None] - candidates).sum(2) < THRESHOLD
    return np.median(candidates[near[near.sum(1).argmax()]], axis=0)


def tint_distance(colors: Array, color: Array) -> Array:
    """How far colors [n, C] are from a colour, its tints and shades, and those of which it may be one: [n]."""
    return np.minimum(_line_distance(colors, color, 1.0, TINTED), _line_distance(colors, color, -1.0, SHADED))


def _line_distance(colors: Array, start: Array, end: float, most: float) -> Array:
    """Distance to the line through `start` and `end`, from where mixing `most` of `end` leads to `start`, to where
    mixing `most` into `start` leads."""
    way = end - start
    share = np.clip((colors - start) @ way / max(way @ way, 1e-9), -most / (1 - most), most)
    return np.abs(colors - start - share[:, None] * way).sum(1)


def _filled(parts: list[Array], mask: Array) -> list[Array]:
    """Every pixel of `mask` in one of the parts: its own, or the nearest."""
    owners = np.zeros(mask.shape, dtype=np.int64)
    for number, part in enumerate(parts, start=1):
        owners += part * number
    where = ndimage.distance_transform_edt(owners == 0, return_distances=False, return_indices=True)
    owners = owners[tuple(where)] * mask
    return [owners == number for number in range(1, len(parts) + 1)]
