"""Opening picture files: the one place where Pillow is given a file, with a fixed list of formats and limits.

Left to itself Pillow tries every reader that it has, by content, whatever the file's name is; the one for EPS starts
another program.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, PngImagePlugin

from dnnlib.errors import UserError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")  # as Pillow calls them
_TARGA = "TGA"  # has no signature: only files named so are tried
_TARGA_ENDINGS = (".tga", ".icb", ".vda", ".vst")
_TEXT_COMPLAINTS = ("MAX_TEXT_CHUNK", "MAX_TEXT_MEMORY")  # in what Pillow raises
_VARIABLES = {"pixels": "STEERGAN_MAX_PIXELS", "text": "STEERGAN_MAX_TEXT"}

Image.MAX_IMAGE_PIXELS = None  # Limits takes its place


class OverLimit(UserError):
    """A picture that may be sound, but is larger than what is read unasked."""


@dataclass(frozen=True)
class Limits:
    """What one picture may hold: `pixels` (width x height), and `text` (bytes of a comment or of a color profile).

    The defaults are the sizes at which Pillow refuses, too.
    """

    pixels: int = 178_956_970
    text: int = 1 << 20

    @classmethod
    def current(cls, environment: Mapping[str, str] = os.environ) -> "Limits":
        """The defaults, or what the environment says. Raises UserError when that is no whole number above 0."""
        given = {name: environment[variable] for name, variable in _VARIABLES.items() if environment.get(variable)}
        return cls(**{name: _positive(text, _VARIABLES[name]) for name, text in given.items()})


@contextmanager
def limits_set(pixels: int | None = None, text: int | None = None) -> Iterator[None]:
    """Other limits within the block, also for processes that it starts; None leaves one as it is."""
    before = dict(os.environ)
    given = {"pixels": pixels, "text": text}
    os.environ.update({_VARIABLES[name]: str(value) for name, value in given.items() if value is not None})
    try:
        yield
    finally:
        for variable in _VARIABLES.values():
            os.environ.pop(variable, None)
            os.environ.update({variable: before[variable]} if variable in before else {})


@contextmanager
def open_image(file: BinaryIO | Path, name: str = "") -> Iterator[Image.Image]:
    """Yield an image whose header is read, but not yet its pixels; `name` is the file's, where it has one.

    Raises OverLimit, also for what is found too large within the block, and on files that are damaged or no pictures
    what Pillow raises.
    """
    limits = Limits.current()
    PngImagePlugin.MAX_TEXT_CHUNK = limits.text
    PngImagePlugin.MAX_TEXT_MEMORY = 64 * limits.text  # Pillow's ratio
    try:
        with Image.open(file, formats=_formats(name or str(file))) as image:
            _check_pixels(image.size, limits)
            yield image
    except ValueError as error:
        if not any(complaint in str(error) for complaint in _TEXT_COMPLAINTS):
            raise
        raise OverLimit(
            f"it holds a text or a color profile of more than {limits.text} bytes; if it comes from a place that you "
            f"trust, {_advice('text', 64 * limits.text)}"
        ) from error


def _formats(name: str) -> tuple[str, ...]:
    Image.init()
    wanted = (*FORMATS, _TARGA) if name.lower().endswith(_TARGA_ENDINGS) else FORMATS
    return tuple(known for known in wanted if known in Image.OPEN)


def _check_pixels(size: tuple[int, int], limits: Limits) -> None:
    pixels = size[0] * size[1]
    if pixels > limits.pixels:
        raise OverLimit(
            f"it has {size[0]}x{size[1]} = {pixels} pixels, more than the {limits.pixels} that are read; if it comes "
            f"from a place that you trust, {_advice('pixels', pixels)}"
        )


def _advice(what: str, enough: int) -> str:
    return f"raise the limit: dataset_tool.py --max-{what}={enough}, or {_VARIABLES[what]}={enough} for other commands"


def _positive(text: str, variable: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) > 0):
        raise UserError(f"{variable}={text[:40]} is no whole number from 1 to 999999999999999")
    return int(text)
