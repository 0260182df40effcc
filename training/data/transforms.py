"""What happens to an image on its way into a data set: plain 8-bit grey or RGB, cropped, resized."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from dnnlib.errors import UserError
from training.data.image_files import has_alpha, is_16_bit, is_power_of_two

FILTERS = {"box": Image.Resampling.BOX, "lanczos": Image.Resampling.LANCZOS}
CROPS = ("center-crop", "center-crop-wide")

_GREY_MODES = {"1", "L", "LA", "La", "F"}  # and I, I;16, ...
_ORIENTATION = 0x0112  # EXIF tag; from 5 on, width and height are swapped
_SIDEWAYS = 5


@dataclass(frozen=True)
class Transform:
    """Cropping, then antialiased resizing to width x height; None leaves the image's own size.

    center-crop takes the largest central part of the shape width : height. center-crop-wide does so for
    pictures wider than high, and pads them with black, above and below, to width x width.
    Raises UserError when that cannot make a square of a power-of-two size.
    """

    width: int | None = None
    height: int | None = None
    crop: str | None = None
    resize_filter: str = "lanczos"

    def __post_init__(self):
        wide = self.crop == "center-crop-wide"
        if wide and not (self.width and self.height and self.height <= self.width):
            raise UserError("--transform=center-crop-wide needs --width and a smaller --height")
        if not wide and self.width and self.height and self.width != self.height:
            raise UserError(f"--width={self.width} and --height={self.height} must be equal: networks need squares")
        if self.side and not is_power_of_two(self.side):
            raise UserError(f"--width={self.side} must be a power of two, 4 or more")

    @property
    def side(self) -> int | None:
        """The side of the resulting square; None when the image's own size stays."""
        return self.width or self.height

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the result for an image of `size`."""
        if self.side:
            return self.side, self.side
        return (min(size),) * 2 if self.crop else size

    def enlarges(self, size: tuple[int, int]) -> bool:
        """Whether an image of `size` is too small for the result and will be blown up."""
        left, top, right, bottom = self._window(size)
        return self.side is not None and (
            right - left < self.side or bottom - top < (self._content_height or self.side)
        )

    def __call__(self, image: Image.Image) -> Image.Image:
        """The transformed image; mode and, where nothing is to be done, the object stay the same."""
        size = self.output_size(image.size)
        window = self._window(image.size)
        if size == image.size and window == (0, 0, *image.size) and self._content_height is None:
            return image
        content = size[0], self._content_height or size[1]
        # Cropped first: with a box, resize would average pixels from outside of it into the border.
        resized = image.crop(window).resize(content, FILTERS[self.resize_filter])
        return self._padded(resized, size)

    @property
    def _content_height(self) -> int | None:
        return self.height if self.crop == "center-crop-wide" else None

    def _window(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The part of the image that is used."""
        if self.crop is None:
            return (0, 0, *size)
        shape = (self.width, self.height) if self._content_height else (1, 1)
        scale = min(size[0] / shape[0], size[1] / shape[1])
        width, height = (max(round(side * scale), 1) for side in shape)
        left, top = (size[0] - width) // 2, (size[1] - height) // 2
        return left, top, left + width, top + height

    def _padded(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        if image.size == size:
            return image
        padded = Image.new(image.mode, size)
        padded.paste(image, (0, (size[1] - image.height) // 2))
        return padded


def is_grey(image: Image.Image) -> bool:
    """Whether an opened image has no colours, by its mode."""
    return image.mode in _GREY_MODES or image.mode.startswith("I")


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as the camera was held."""
    sideways = image.getexif().get(_ORIENTATION, 1) >= _SIDEWAYS
    return image.size[::-1] if sideways else image.size


def to_plain(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """An upright 8-bit image of mode L or RGB, and what had to be done for it, in words."""
    done = []
    grey, deep = is_grey(image), is_16_bit(image)
    image = ImageOps.exif_transpose(image)
    if deep:
        done.append("reduced from 16 to 8 bits")
        image = _to_8_bit(image)
    if has_alpha(image):
        done.append("composited on white")
        image = _on_white(image)
    elif image.mode not in ("1", "L", "P", "RGB"):
        done.append(f"converted from {image.mode}")
    return image.convert("L" if grey else "RGB"), done


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Pillow decodes 16-bit colours to 8 bits itself, but keeps 16-bit grey."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).clip(0, 0xFFFF) >> 8).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image)
