"""Cut-outs: objects with an alpha channel, read from picture files and scaled onto a canvas."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from training.data import ground_truth
from training.data.bit_depth import pixel_kind
from training.data.image_files import upright
from training.data.image_formats import open_image

_SOLID = 64  # alpha from which on a pixel belongs to the object rather than to a soft fringe
_OPAQUE_FRACTION = 0.98  # a picture filled to this degree is no cut-out
_FRINGE = 1  # canvas pixels around an object's box that antialiasing may reach
_OVERSAMPLING = 4  # cut-outs are kept at this many times the size at which they are shown


class NoCutout(ValueError):
    """A picture that cannot be used as a cut-out; the message says why."""


@dataclass(frozen=True)
class Cutout:
    """An object with premultiplied alpha (mode RGBa), cropped to its alpha box plus a transparent margin."""

    kind: str
    images: tuple[Image.Image, Image.Image]  # as it was, and mirrored
    margin: int  # pixels
    size: np.ndarray  # width, height without margin, pixels
    color: np.ndarray  # [3], alpha-weighted mean, 0..255

    def drawn(self, scale: float, corner: np.ndarray, resolution: int, mirror: bool) -> np.ndarray:
        """The object on a transparent canvas, premultiplied float32 [R, R, 4] in 0..255.

        `scale` is canvas pixels per own pixel; `corner` (x, y), in canvas pixels, is where the upper left of its
        box goes; fractions count. The box must lie on the canvas.
        """
        first = np.maximum(np.floor(corner).astype(int) - _FRINGE, 0)
        last = np.minimum(np.ceil(corner + self.size * scale).astype(int) + _FRINGE, resolution)
        window = np.concatenate([first - corner, last - corner]) / scale + self.margin
        patch = self.images[mirror].resize(tuple(last - first), Image.Resampling.HAMMING, box=tuple(window))
        canvas = np.zeros((resolution, resolution, 4), dtype=np.float32)
        canvas[first[1] : last[1], first[0] : last[0]] = np.asarray(patch)
        return canvas


def load_cutout(
    file: Path | BinaryIO, min_side: float, max_side: float, min_coverage: float = 0.0, name: str = "", kind: str = ""
) -> Cutout:
    """Read a picture with alpha whose larger side will be drawn with `min_side` to `max_side` pixels.

    An open file comes with its `name`; `kind`: what it shows, by default its name.

    Raises NoCutout when it has no useful alpha, or when its object fills less than the fraction
    `min_coverage` of its bounding box; OSError when it is damaged.
    """
    with open_image(file, name) as opened:
        picture = _shallow(opened).convert("RGBA")
    picture = picture.crop(_object_box(np.asarray(picture)[..., 3], min_coverage))
    picture.thumbnail((_OVERSAMPLING * math.ceil(max_side),) * 2, Image.Resampling.LANCZOS)
    picture = picture.convert("RGBa")
    # Resizing reads as far as the fringe, a fraction of a pixel that the corner may add, and the filter's reach.
    margin = math.ceil((_FRINGE + 2) * max(picture.size) / min_side)
    padded = _padded(picture, margin)
    mirrored = padded.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return Cutout(
        kind or Path(name or str(file)).stem, (padded, mirrored), margin, np.array(picture.size), _mean_color(picture)
    )


def _shallow(opened: Image.Image) -> Image.Image:
    if pixel_kind(opened) in ("whole", "float"):
        raise NoCutout("has numbers of more than 8 bits and no alpha")
    return upright(opened)


def _object_box(alpha: np.ndarray, min_coverage: float) -> tuple[int, int, int, int]:
    solid = alpha >= _SOLID
    if solid.mean() > _OPAQUE_FRACTION:
        raise NoCutout("opaque all over")
    if not solid.any():
        raise NoCutout("transparent all over")
    x0, y0, x1, y1 = ground_truth.bounds(solid).astype(int).tolist()
    coverage = solid[y0:y1, x0:x1].mean()
    if coverage < min_coverage:
        raise NoCutout(f"fills only {coverage:.2f} of its bounding box")
    return x0, y0, x1, y1


def _padded(image: Image.Image, margin: int) -> Image.Image:
    padded = Image.new(image.mode, (image.width + 2 * margin, image.height + 2 * margin))
    padded.paste(image, (margin, margin))
    return padded


def _mean_color(premultiplied: Image.Image) -> np.ndarray:
    pixels = np.asarray(premultiplied, dtype=np.float64).reshape(-1, 4)
    return pixels[:, :3].sum(axis=0) / pixels[:, 3].sum() * 255
