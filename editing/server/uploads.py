"""A picture that a page sends: decoded with limits, cut to a square in the middle, as large as the model's pictures."""

import io

import numpy as np

from dnnlib.errors import UserError
from editing.own_pictures import fitted
from editing.server.protocol import UPLOAD_LIMIT
from training.data.image_files import reason
from training.data.image_formats import open_image

PIXELS_LIMIT = 50_000_000


def decode_upload(data: bytes, resolution: int, channels: int) -> np.ndarray:
    """uint8 [resolution, resolution, channels] of a PNG, JPEG, WebP or other picture file.

    Raises UserError when it is none, or too large.
    """
    if len(data) > UPLOAD_LIMIT:
        raise UserError(f"a file of {len(data) >> 20} MiB is too large; {UPLOAD_LIMIT >> 20} MiB are the most")
    try:
        with open_image(io.BytesIO(data), "upload") as image:
            if image.width * image.height > PIXELS_LIMIT:
                raise UserError(f"a picture of {image.width}x{image.height} pixels is too large; make it smaller")
            image.draft("RGB", (resolution, resolution))
            return fitted(image, "upload", resolution, channels)
    except UserError:
        raise
    except Exception as error:  # Pillow raises nearly every kind when it meets a damaged file
        said = reason(error) or type(error).__name__
        raise UserError(f"this is no picture that can be read ({said}); use a PNG or a JPEG") from error
