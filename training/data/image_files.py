"""Single image files: headers, decoding."""

import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from dnnlib.errors import REASON, UserError, in_one_line
from training.data.image_formats import OverLimit, open_image

try:
    import pyspng
except ImportError:  # optional: decodes PNG several times faster than Pillow
    pyspng = None

_CHANNELS = {"1": 1, "L": 1, "RGB": 3, "P": 3}  # by Pillow's mode: what a data set can hold
_PNG_SIGNATURE = b"\x89PNG"
_PNG_EXIF = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")  # older programs put EXIF into a text
_ORIENTATION = 0x0112  # EXIF tag
_TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DEEP = re.compile(r"(L|LA|RGB|RGBA|I|CMYK);16[BLN]?")  # Pillow's name for what is stored, not for what it decodes to

# What Pillow, pyspng and zipfile raise on files that are cut short or garbled.
DAMAGE = (
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    struct.error,
    lzma.LZMAError,
    zlib.error,
    zipfile.BadZipFile,
)


class DamagedImage(UserError):
    """One file that cannot be read; the others may well be."""


class Header(NamedTuple):
    """What can be told of an image without decoding it."""

    width: int
    height: int
    channels: int


def is_power_of_two(number: int) -> bool:
    """Whether `number` is a resolution that networks can have: 4, 8, 16, ..."""
    return number >= 4 and number & (number - 1) == 0


def is_16_bit(image: Image.Image) -> bool:
    """Whether an opened, not yet decoded image has 16 bits a channel."""
    return image.mode.startswith("I") or any(
        _DEEP.fullmatch(_raw_mode(tile[3])) for tile in getattr(image, "tile", ())
    )


def has_alpha(image: Image.Image) -> bool:
    """Whether an opened image has an alpha channel or a transparent colour."""
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def has_more_frames(image: Image.Image) -> bool:
    """Whether an opened file holds further pictures: an animation, pages of a TIFF."""
    try:
        return getattr(image, "n_frames", 1) > 1
    except DAMAGE:  # of the others
        return False


def reason(error: Exception) -> str:
    """What a DAMAGE exception says, without the file object that Pillow's words show."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    return in_one_line(getattr(error, "strerror", None) or error, REASON)  # zipfile shows what stands in a name's place


@contextmanager
def naming_damage(where: str) -> Iterator[None]:
    """Turns whatever a damaged image file makes the block raise into a DamagedImage that names `where`."""
    try:
        yield
    except OverLimit as error:
        raise OverLimit(f"{where} is refused: {error}") from error
    except UserError:
        raise
    except DAMAGE as error:
        raise DamagedImage(
            f"{where} is damaged ({reason(error)}); remove it, or write the data set anew with dataset_tool.py, "
            "which leaves such files out"
        ) from error


def read_header(file: BinaryIO, where: str) -> Header:
    """Size and channels of an 8-bit grey or RGB image. Raises UserError naming `where` for all others.

    The size is the stored one: a picture that is to be turned on its side may have it the other way round.
    """
    with naming_damage(where), open_image(file, where) as image:
        _check_kind(image, where)
        return Header(image.width, image.height, _CHANNELS[image.mode])


def decode(data: bytes, where: str) -> np.ndarray:
    """Pixels uint8 [C, H, W] of an 8-bit grey or RGB image, upright (see orientation).

    Raises UserError naming `where` for all others.
    """
    with naming_damage(where), open_image(io.BytesIO(data), where) as image:
        _check_kind(image, where)
        is_png = data.startswith(_PNG_SIGNATURE)
        may_be_turned = _check_png(data) if is_png else True
        if is_png and not may_be_turned and pyspng is not None and image.mode in ("L", "RGB"):
            pixels = pyspng.load(data)
        else:
            plain = upright(image) if may_be_turned else image
            pixels = np.asarray(plain.convert("L" if _CHANNELS[image.mode] == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)


def orientation(image: Image.Image) -> int:
    """How the camera was held, 1 (upright) to 8, as EXIF says; 1 where it says nothing that can be read."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except DAMAGE:
        return 1
    return value if value in _TURNS else 1


def upright(image: Image.Image) -> Image.Image:
    """The decoded image, turned and mirrored as its EXIF orientation says; the same object where that is nothing."""
    image.load()  # some formats obey the orientation themselves, and then say so
    turn = _TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def _check_png(data: bytes) -> bool:
    """Whether there may be an EXIF orientation, in a chunk or in a text.

    Raises ValueError when pixels or palette do not agree with their checksum, which decoders leave unread.
    A PNG is a signature of 8 bytes, then chunks: length, type, contents, CRC-32 of type and contents.
    """
    start, kind, has_exif = 8, b"", False
    while kind != b"IEND":
        if start + 12 > len(data):
            raise ValueError("cut short")
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 8 + length
        if end + 4 > len(data):
            raise ValueError("cut short")
        if kind[:1].isupper() and zlib.crc32(memoryview(data)[start + 4 : end]) != int.from_bytes(data[end : end + 4]):
            raise ValueError(f"wrong checksum of {kind.decode('ascii', 'replace')}")
        has_exif |= kind in _PNG_EXIF
        start = end + 4
    return has_exif


def _raw_mode(decoder_arguments: object) -> str:
    first = decoder_arguments[0] if isinstance(decoder_arguments, tuple) and decoder_arguments else decoder_arguments
    return str(first)


def _check_kind(image: Image.Image, where: str) -> None:
    if has_alpha(image):
        trouble = "has transparency"
    elif is_16_bit(image):
        trouble = "has 16 bits a channel"
    elif image.mode not in _CHANNELS:
        trouble = f"has the colour mode {image.mode}"
    else:
        return
    raise UserError(f"{where} {trouble}; data sets hold 8-bit grey or RGB images: convert it with dataset_tool.py")
