"""Pictures with a known truth from real photographs: one cut-out each, on a gradient or a photograph."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dnnlib.errors import UserError
from dnnlib.parsing import shown
from dnnlib.words import counted
from training.data import ground_truth
from training.data.image_files import DAMAGE, reason
from training.scenes import colors
from training.scenes.backgrounds import gradient, load_photo, photo_crop
from training.scenes.cutouts import Cutout, NoCutout, load_cutout
from training.scenes.pictures import Picture, list_pictures


@dataclass(frozen=True)
class Placement:
    """How large objects are, and how far backgrounds keep from their colour.

    Sizes are the object's larger side as a fraction of the image's side; `contrast` is the least
    colors.distance of a gradient from the object's mean colour.
    """

    resolution: int
    min_size: float = 0.4
    max_size: float = 0.6
    contrast: float = 0.5

    def __post_init__(self):
        if not 0 < self.min_size <= self.max_size <= 1:
            raise UserError(
                f"--min-size {self.min_size} and --max-size {self.max_size} must be fractions of the image's side, "
                "0 < min <= max <= 1"
            )


@dataclass(frozen=True)
class Selection:
    """Which files of a folder are used: those whose path holds one of `include` (if any) and none of `exclude`,
    and whose object fills at least `min_coverage` of its bounding box."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    min_coverage: float = 0.0

    def wants(self, name: str) -> bool:
        """Whether the file at this path, relative to the folder, is to be read."""
        included = not self.include or any(part in name for part in self.include)
        return included and not any(part in name for part in self.exclude)


Skipped = list[tuple[str, str]]  # names, and why


def load_cutouts(folder: Path, selection: Selection, placement: Placement) -> tuple[dict[str, Cutout], Skipped]:
    """Read the cut-outs below `folder`, by name. Raises UserError when none is left."""
    sides = placement.min_size * placement.resolution, placement.max_size * placement.resolution
    there = list_pictures(folder, "--cutouts")
    pictures = [picture for picture in there if selection.wants(picture.name)]
    if there and not pictures:
        raise UserError(
            f"--cutouts {folder}: --include and --exclude leave none of {counted(len(there), 'picture')}; they are "
            f"compared with names such as {shown(there[0].name)}"
        )
    cutouts, skipped = _load_all(
        pictures, lambda file, one: load_cutout(file, *sides, selection.min_coverage, one.name, one.kind)
    )
    if not cutouts:
        raise UserError(
            f"--cutouts {folder} holds no usable cut-out ({counted(len(skipped), 'picture')} unsuitable); "
            "cut-outs are pictures with a transparent surrounding, such as RGBA PNG files"
        )
    return cutouts, skipped


def load_photos(folder: Path, resolution: int, option: str = "--backgrounds") -> tuple[dict[str, Image.Image], Skipped]:
    """Read the photographs below `folder`, by name. Raises UserError when none is left."""
    pictures = list_pictures(folder, option)
    photos, skipped = _load_all(pictures, lambda file, one: load_photo(file, resolution, one.name))
    if not photos:
        raise UserError(f"{option} {folder} holds no readable photograph")
    return photos, skipped


def compose(
    rng: np.random.Generator,
    cutouts: Sequence[Cutout],
    placement: Placement,
    photos: Sequence[Image.Image] = (),
) -> tuple[np.ndarray, dict]:
    """One picture: uint8 pixels [R, R, 3] and its scene (see ground_truth).

    A random cut-out, mirrored or not, lies whole within the image with its middle in the middle half,
    on a crop of one of `photos` or, when there are none, on a two-colour gradient.
    """
    cutout = cutouts[int(rng.integers(len(cutouts)))]
    layer, box = _place(rng, cutout, placement)
    pixels = _background(rng, cutout, placement, photos)
    alpha = layer[..., 3] / 255
    pixels = layer[..., :3] + pixels * (1 - alpha[..., None])
    truth = ground_truth.describe(cutout.kind, ground_truth.centroid(alpha), box, placement.resolution)
    truth["color"] = colors.name_of(cutout.color)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8), {"objects": [truth]}


def _place(rng, cutout, placement) -> tuple[np.ndarray, np.ndarray]:
    """The canvas of Cutout.drawn, and the object's box in pixels."""
    resolution = placement.resolution
    scale = rng.uniform(placement.min_size, placement.max_size) * resolution / cutout.size.max()
    size = cutout.size * scale
    corner = ground_truth.random_middle(rng, size, resolution) - size / 2
    layer = cutout.drawn(scale, corner, resolution, mirror=bool(rng.integers(2)))
    return layer, np.concatenate([corner, corner + size])


def _background(rng, cutout, placement, photos) -> np.ndarray:
    if photos:
        return photo_crop(rng, photos[rng.integers(len(photos))], placement.resolution)
    return gradient(rng, placement.resolution, cutout.color, placement.contrast)


def _load_all(pictures: Sequence[Picture], load) -> tuple[dict, Skipped]:
    """{name: load(open file, picture)} of those that can be used."""
    loaded, skipped = {}, []
    for picture in pictures:
        try:
            with picture.open() as file:
                loaded[picture.name] = load(file, picture)
        except (NoCutout, UserError) as error:
            skipped.append((picture.name, str(error)))
        except DAMAGE as error:
            skipped.append((picture.name, f"damaged: {reason(error)}"))
    return loaded, skipped
