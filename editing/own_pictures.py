"""Picture files of the user's as a model's pictures: upright, 8 bits, the largest square in the middle, resized."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dnnlib.errors import UserError
from dnnlib.json_files import open_regular
from training.data.bit_depth import BitDepth, pixel_kind
from training.data.image_files import DAMAGE, reason
from training.data.image_formats import open_image
from training.data.listing import is_image_name
from training.data.transforms import Transform, to_plain
from training.sampling import Model

FILE_LIMIT = 1 << 28  # bytes
PICTURES_LIMIT = 1024


def find_pictures(places: Sequence[str | Path]) -> list[Path]:
    """Files as they are, and the pictures in folders, by name. Raises UserError when one is missing or has none."""
    found = []
    for place in map(Path, places):
        if not place.is_dir():
            found.append(place)
            continue
        inside = sorted(path for path in place.iterdir() if path.is_file() and is_image_name(path.name))
        if not inside:
            raise UserError(f"{place}: no pictures in this folder")
        found += inside
    if len(found) > PICTURES_LIMIT:
        raise UserError(f"{len(found)} pictures are too many at a time; take {PICTURES_LIMIT} at most")
    return found


def read_pictures(paths: Sequence[Path], model: Model) -> Tensor:
    """Pictures [N, C, R, R] in [-1, 1] of the size and colors of the model's. Raises UserError naming a bad file."""
    config = model.config.generator
    return torch.stack([read_picture(path, config.img_resolution, config.img_channels) for path in paths])


def read_picture(path: Path, resolution: int, channels: int) -> Tensor:
    """One picture [channels, resolution, resolution] in [-1, 1]. Raises UserError naming the file."""
    with open_regular(path, FILE_LIMIT) as file:
        try:
            with open_image(file, path.name) as image:
                pixels = fitted(image, path.name, resolution, channels)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        except DAMAGE as error:
            raise UserError(f"{path}: not a picture that can be read ({reason(error)})") from error
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 127.5 - 1


def fitted(image: Image.Image, name: str, resolution: int, channels: int) -> np.ndarray:
    """uint8 [resolution, resolution, channels] of an opened picture; `name` is what complaints call it.

    Raises UserError for pixels of a kind that no 8 bits stand for, and on damaged files what Pillow raises.
    """
    square = Transform(resolution, resolution, "center-crop")(_plain(image, name))
    return np.asarray(square.convert("L" if channels == 1 else "RGB")).reshape(resolution, resolution, channels)


def _plain(image: Image.Image, name: str) -> Image.Image:
    depth = BitDepth()
    if pixel_kind(image) is not None:
        depth.add(name, image)
        depth.check()
    return to_plain(image, depth)[0]
