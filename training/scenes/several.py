"""Pictures of several objects from real photographs: cut-outs before each other, with the truth of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dnnlib.errors import UserError
from training.data import ground_truth
from training.scenes.backgrounds import gradient, photo_crop, strip_crop
from training.scenes.colors import name_of
from training.scenes.compose import Placement
from training.scenes.cutouts import Cutout
from training.scenes.places import scattered

_SHOWN = 0.25  # share of a pixel from which on it is an object's
_LEAST_SEEN = 0.2  # share of an object from which on it is in the truth
_HORIZON = (0.45, 0.65)  # where walls end and floors begin, as a fraction of the side from the top


@dataclass(frozen=True)
class Arrangement:
    """How many objects a picture has, and where: fractions of its side.

    objects: least and greatest number. margin: how near to the borders an object's middle may be; it lies whole within
    the picture in any case. apart: the least distance of two middles, if there is room.
    masks: whether the truth has the visible pixels of each object.
    """

    objects: tuple[int, int] = (3, 3)
    margin: float = 0.16
    apart: float = 0.3
    masks: bool = False

    def __post_init__(self):
        if not 0 <= self.margin < 0.5:
            raise UserError(f"--margin {self.margin} must be at least 0 and below 0.5")
        if not 0 <= self.apart <= 1:
            raise UserError(f"--apart {self.apart} must be in [0, 1]")


@dataclass(frozen=True)
class Grounds:
    """What lies behind: photographs (none: gradients) and, below a horizon, pictures of floors."""

    photos: Sequence[Image.Image] = ()
    floors: Sequence[Image.Image] = ()


def compose_several(
    rng: np.random.Generator,
    cutouts: Sequence[Cutout],
    placement: Placement,
    arrangement: Arrangement,
    grounds: Grounds,
) -> tuple[np.ndarray, dict]:
    """One picture: uint8 pixels [R, R, 3] and its scene (see ground_truth), the nearest object first.

    An object that ends further down stands before the others. What others hide for the most part is not in the truth;
    center, box and mask are those of the visible part, and "visible" is its share of the object.
    """
    count = int(rng.integers(*arrangement.objects, endpoint=True))
    things = [cutouts[int(rng.integers(len(cutouts)))] for _ in range(count)]
    places = scattered(rng, len(things), arrangement.margin, arrangement.apart)
    drawn = [_drawn(rng, thing, place, placement) for thing, place in zip(things, places, strict=True)]
    order = sorted(range(len(things)), key=lambda n: drawn[n][1])
    pixels = _ground(rng, things, placement, grounds)
    layers = [drawn[n][0] for n in order]
    for layer in layers:
        pixels = layer[..., :3] + pixels * (1 - layer[..., 3:] / 255)
    shares = zip((things[n] for n in order), _visible(layers), layers, strict=True)
    truths = [_truth(thing, seen, layer[..., 3] / 255, arrangement) for thing, seen, layer in shares]
    objects = [truth for truth in reversed(truths) if truth is not None]
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8), {"objects": objects}


def _drawn(rng, thing: Cutout, place: np.ndarray, placement: Placement) -> tuple[np.ndarray, float]:
    """The canvas of Cutout.drawn, and where the object's box ends at the bottom, in pixels."""
    resolution = placement.resolution
    scale = rng.uniform(placement.min_size, placement.max_size) * resolution / thing.size.max()
    size = thing.size * scale
    middle = np.clip(place * resolution, size / 2, resolution - size / 2)
    layer = thing.drawn(scale, middle - size / 2, resolution, mirror=bool(rng.integers(2)))
    return layer, float(middle[1] + size[1] / 2)


def _visible(layers: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The share of each pixel that shows each object, [R, R] in [0, 1]; later layers hide earlier ones."""
    seen: list[np.ndarray] = []
    uncovered = np.ones(layers[0].shape[:2])
    for layer in reversed(layers):
        alpha = layer[..., 3] / 255
        seen.append(alpha * uncovered)
        uncovered = uncovered * (1 - alpha)
    return seen[::-1]


def _truth(thing: Cutout, seen: np.ndarray, alpha: np.ndarray, arrangement: Arrangement) -> dict | None:
    mask, visible = seen >= _SHOWN, float(seen.sum() / alpha.sum())
    if visible < _LEAST_SEEN or not mask.any():
        return None
    truth = ground_truth.describe(thing.kind, ground_truth.centroid(seen), ground_truth.bounds(mask), len(seen))
    truth |= {"visible": round(visible, 3), "color": name_of(thing.color)}
    if arrangement.masks:
        truth["mask"] = ground_truth.encode_mask(mask)
    return truth


def _ground(rng, things: Sequence[Cutout], placement: Placement, grounds: Grounds) -> np.ndarray:
    resolution = placement.resolution
    if grounds.photos:
        pixels = photo_crop(rng, grounds.photos[rng.integers(len(grounds.photos))], resolution)
    else:
        pixels = gradient(rng, resolution, np.array([thing.color for thing in things]), placement.contrast)
    if not grounds.floors:
        return pixels
    horizon = round(rng.uniform(*_HORIZON) * resolution)
    floor = strip_crop(rng, grounds.floors[rng.integers(len(grounds.floors))], resolution, resolution - horizon)
    return np.concatenate([pixels[:horizon], floor])
