"""Pictures of more than 8 bits a channel: which values are black and white is found from the values of all of them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from dnnlib.errors import UserError
from training.data.image_files import is_16_bit

_WHOLE_BITS = (8, 10, 12, 14, 16)  # what cameras and scanners deliver
_FLOAT_WHITES = (1.0, 255.0, 65535.0)
_TOLERANCE = 1e-3  # of white: by this, sharpening overshoots 0 or 1 in floats


@dataclass
class _Range:
    """The least and the largest value so far, and the pictures that they are in."""

    lowest: float = np.inf
    highest: float = -np.inf
    low_name: str = ""
    high_name: str = ""

    def add(self, name: str, values: np.ndarray) -> None:
        lowest, highest = float(values.min()), float(values.max())  # NaN if there is one
        if not np.isfinite([lowest, highest]).all():
            raise UserError(f"{name} holds values that are no finite numbers; remove it, or store it in 8 bits")
        if lowest < self.lowest:
            self.lowest, self.low_name = lowest, name
        if highest > self.highest:
            self.highest, self.high_name = highest, name

    def refusal(self, known: str) -> UserError:
        """The error for values of which it is unclear what is white."""
        return UserError(
            f"values reach from {self.lowest:g} ({self.low_name}) to {self.highest:g} ({self.high_name}), and it is "
            f"not clear which are black and white; {known}: scale them so, or store them in 8 bits"
        )


@dataclass
class BitDepth:
    """The ranges of all deep pictures of a source, whole numbers and floats apart; then how these become 8 bits."""

    _ranges: dict[str, _Range] = field(default_factory=dict)

    def add(self, name: str, image: Image.Image) -> None:
        """Look at the values of a picture, if it is a deep one. Raises UserError when they are not finite."""
        kind = pixel_kind(image)
        if kind is not None:
            self._ranges.setdefault(kind, _Range()).add(name, np.asarray(image))

    def check(self) -> None:
        """Raises UserError when it is unclear which values are black and white."""
        for kind in self._ranges:
            self._conversion(kind)

    def to_8_bit(self, image: Image.Image, kind: str) -> tuple[Image.Image, str]:
        """A decoded deep picture of this kind in 8 bits, and in words what was done."""
        convert, words = self._conversion(kind)
        return convert(image), words

    def _conversion(self, kind: str) -> tuple[Callable[[Image.Image], Image.Image], str]:
        return {"whole": self._whole, "float": self._float, "color": self._color}[kind]()

    def _whole(self) -> tuple[Callable[[Image.Image], Image.Image], str]:
        found = self._ranges["whole"]
        bits = next((bits for bits in _WHOLE_BITS if found.highest < 1 << bits), None)
        if bits is None or found.lowest < 0:
            raise found.refusal("whole numbers may reach from 0 to 255, 1023, 4095, 16383 or 65535")
        words = _reduced(bits) if bits > 8 else "taken as 8 bits, no value being above 255"
        return lambda image: _grey(np.asarray(image) >> (bits - 8)), words

    def _float(self) -> tuple[Callable[[Image.Image], Image.Image], str]:
        found = self._ranges["float"]
        white = next((white for white in _FLOAT_WHITES if found.highest <= white * (1 + _TOLERANCE)), None)
        if white is None or found.lowest < -_TOLERANCE * white:
            raise found.refusal("floats may reach from 0 to 1, 255 or 65535")
        words = f"floats turned into 8 bits, {white:g} becoming white"
        return lambda image: _grey((np.asarray(image, np.float64) * (255 / white)).clip(0, 255).round()), words

    def _color(self) -> tuple[Callable[[Image.Image], Image.Image], str]:
        """Pillow hands over the upper 8 of 16 bits, so that of 12 there would be 4 left."""
        found = self._ranges["color"]
        if found.highest < 1 << 6:
            raise UserError(
                f"color pictures with 16 bits a channel use less than 14 of them (the lightest is {found.high_name}); "
                "scale their values to all 16, or store them in 8 bits"
            )
        return lambda image: image, _reduced(16)


def pixel_kind(image: Image.Image) -> str | None:
    """"whole" or "float" for one channel of numbers, "color" for 16 bits in several; None for 8 bits a channel.

    To be asked before the image is decoded: then Pillow no longer knows how it was stored.
    """
    if image.mode == "F":
        return "float"
    if image.mode.startswith("I"):
        return "whole"
    return "color" if is_16_bit(image) else None


def _reduced(bits: int) -> str:
    return f"reduced from {bits} to 8 bits"


def _grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8))
