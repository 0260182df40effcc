"""Where a picture may change: the mask of a session as an array."""

import base64
import binascii
import io

import numpy as np

from dnnlib.errors import UserError
from editing.document import Mask
from editing.registration import disc_of_pixels
from training.config import Registration
from training.data.image_files import reason
from training.data.image_formats import open_image

PIXELS_LIMIT = 4096 * 4096


def mask_array(mask: Mask | None, resolution: int, registration: Registration) -> np.ndarray | None:
    """float32 [resolution, resolution], 1 where the picture may change; None where nothing says it.

    A circle's coordinates are those of layouts with this registration; a PNG covers the whole picture and is resized
    to it. Raises UserError when it is no readable picture.
    """
    if mask is None:
        return None
    if mask.circle is not None:
        return disc_of_pixels(*mask.circle, resolution, registration)
    return None if mask.png is None else _decoded(mask.png, resolution)


def _decoded(text: str, resolution: int) -> np.ndarray:
    try:
        data = base64.b64decode(text, validate=True)
        with open_image(io.BytesIO(data), "mask.png") as image:
            if image.width * image.height > PIXELS_LIMIT:
                raise ValueError(f"it has {image.width}x{image.height} pixels")
            grey = image.convert("L").resize((resolution, resolution))
    except (OSError, ValueError, binascii.Error, SyntaxError, MemoryError) as error:
        raise UserError(f"mask: not a readable PNG ({reason(error)})") from error
    return (np.asarray(grey) >= 128).astype(np.float32)
