"""What happens to an image on its way into a data set: plain 8-bit grey or RGB, cropped, resized."""

from dataclasses import dataclass

from PIL import Image, ImageColor

from dnnlib.errors import UserError
from training.data.bit_depth import BitDepth, pixel_kind
from training.data.image_files import has_alpha, is_power_of_two, orientation, upright

FILTERS = {"box": Image.Resampling.BOX, "lanczos": Image.Resampling.LANCZOS}
CROPS = ("center-crop", "center-crop-wide", "pad")
Color = tuple[int, int, int]  # RGB, 0..255

_GREY_MODES = {"1", "L", "LA", "La", "F"}  # and I, I;16, ...
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_WIDTH, _HEIGHT = 256, 257  # TIFF tags
_SIDEWAYS = 5  # the first orientation that swaps width and height
_LARGEST_SIDE = 1 << 14


@dataclass(frozen=True)
class Transform:
    """Cropping or padding, then antialiased resizing to width x height; None leaves the image's own size.

    center-crop takes the largest central part of the shape width : height. center-crop-wide does so for
    pictures wider than high, and pads them, above and below, to width x width. pad keeps the whole picture and
    pads its shorter side. Padding is black, transparency is put on white, unless there is a `background` (RGB).
    Raises UserError when that cannot make a square of a power-of-two size.
    """

    width: int | None = None
    height: int | None = None
    crop: str | None = None
    resize_filter: str = "lanczos"
    background: Color | None = None

    def __post_init__(self):
        wide = self.crop == "center-crop-wide"
        if wide and not (self.width and self.height and self.height <= self.width):
            raise UserError("--transform=center-crop-wide needs --width and a smaller --height")
        if not wide and self.width and self.height and self.width != self.height:
            raise UserError(f"--width={self.width} and --height={self.height} must be equal: networks need squares")
        if self.side and not is_power_of_two(self.side):
            raise UserError(f"--width={self.side} must be a power of two, 4 or more")
        if self.side and self.side > _LARGEST_SIDE:
            raise UserError(f"--width={self.side} is larger than {_LARGEST_SIDE}, which no network here makes")

    @property
    def side(self) -> int | None:
        """The side of the resulting square; None when the image's own size stays."""
        return self.width or self.height

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the result for an image of `size`."""
        if self.side:
            return self.side, self.side
        return {None: size, "pad": (max(size),) * 2}.get(self.crop, (min(size),) * 2)

    def squashes(self, size: tuple[int, int]) -> bool:
        """Whether an image of `size` would be squeezed to a square."""
        return self.crop is None and self.side is not None and size[0] != size[1]

    def enlarges(self, size: tuple[int, int]) -> bool:
        """Whether an image of `size` is too small for the result and will be blown up."""
        left, top, right, bottom = self._window(size)
        width, height = self._content(size)
        return self.side is not None and (right - left < width or bottom - top < height)

    def __call__(self, image: Image.Image) -> Image.Image:
        """The transformed image; mode and, where nothing is to be done, the object stay the same."""
        size, content, window = self.output_size(image.size), self._content(image.size), self._window(image.size)
        if size == content == image.size and window == (0, 0, *image.size):
            return image
        # Cropped first: with a box, resize would average pixels from outside of it into the border.
        resized = image.crop(window).resize(content, FILTERS[self.resize_filter])
        return self._padded(resized, size)

    def _content(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height of the part of the result that the image fills, for an image of `size`."""
        width, height = self.output_size(size)
        if self.crop == "center-crop-wide":
            return width, self.height or width
        if self.crop == "pad":
            scale = width / max(size)
            return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)
        return width, height

    def _window(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """The part of the image that is used."""
        if self.crop in (None, "pad"):
            return (0, 0, *size)
        shape = (self.width or 1, self.height or 1) if self.crop == "center-crop-wide" else (1, 1)
        scale = min(size[0] / shape[0], size[1] / shape[1])
        width, height = (max(round(side * scale), 1) for side in shape)
        left, top = (size[0] - width) // 2, (size[1] - height) // 2
        return left, top, left + width, top + height

    def _padded(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        if image.size == size:
            return image
        color = Image.new("RGB", (1, 1), self.background or _BLACK).convert(image.mode).getpixel((0, 0))
        padded = Image.new(image.mode, size, color)
        padded.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
        return padded


def parse_color(text: str) -> Color:
    """The RGB values of white, #fff, #ffffff, rgb(255, 255, 255) and what else CSS knows. Raises UserError."""
    try:
        return ImageColor.getrgb(text)[:3]
    except ValueError:
        raise UserError(f"--background={text} is no color; write a name such as white, or #ffffff") from None


def is_grey(image: Image.Image) -> bool:
    """Whether an opened image has no colours, by its mode."""
    return image.mode in _GREY_MODES or image.mode.startswith("I")


def is_grey_color(color: Color | None) -> bool:
    """Whether a background has no colour, or there is none."""
    return color is None or len(set(color)) == 1


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as the camera was held."""
    tags = getattr(image, "tag_v2", None)  # of TIFF; there, some versions of Pillow have turned the size already
    size = image.size if tags is None else (tags.get(_WIDTH, image.width), tags.get(_HEIGHT, image.height))
    return size[::-1] if orientation(image) >= _SIDEWAYS else size


def to_plain(image: Image.Image, depth: BitDepth, background: Color | None = None) -> tuple[Image.Image, list[str]]:
    """An upright 8-bit image of mode L or RGB, and what had to be done for it, in words.

    `depth` has seen all images of its set; transparency is put on `background`, white where there is none.
    """
    done = []
    grey, kind = is_grey(image), pixel_kind(image)
    image = upright(image)
    if kind is not None:
        image, words = depth.to_8_bit(image, kind)
        done.append(words)
    if has_alpha(image):
        done.append("composited on white" if background is None else "composited on the background")
        grey &= is_grey_color(background)
        image = on_color(image, background or _WHITE)
    elif image.mode not in ("1", "L", "P", "RGB"):
        done.append(f"converted from {image.mode}")
    return image.convert("L" if grey else "RGB"), done


def on_color(image: Image.Image, color: Color) -> Image.Image:
    """An image with transparency on an opaque background, mode RGBA."""
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (*color, 255)), image)
