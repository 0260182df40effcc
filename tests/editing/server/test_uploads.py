"""Refused uploads and masks: one line in plain words, without the names of Python's objects."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from dnnlib.errors import UserError
from editing.document import Mask
from editing.masks import mask_array
from editing.server import uploads
from editing.server.uploads import decode_upload


def png(size=(40, 20), mode="RGB") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size, 200).save(stream, "PNG")
    return stream.getvalue()


BROKEN = {"empty": b"", "text": b"a list of things", "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n", "half": png()[:45]}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_is_no_picture_is_refused_in_plain_words(data: bytes):
    with pytest.raises(UserError, match="use a PNG or a JPEG") as upload:
        decode_upload(data, 16, 3)
    with pytest.raises(UserError, match="mask: not a readable PNG") as mask:
        mask_array(Mask(png=base64.b64encode(data).decode()), 16, "cells")
    for refused in (upload, mask):
        assert " object at " not in str(refused.value)
        assert "()" not in str(refused.value)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_picture_becomes_a_square_of_the_models_size(mode: str):
    np.testing.assert_array_equal(decode_upload(png(mode=mode), 16, 3), np.full((16, 16, 3), png_color(mode)))


def test_every_kind_of_picture_comes_upright_and_in_8_bits():
    """Turned as its camera says, 16 bits scaled and not cut off, white behind what is transparent."""
    ramp = np.tile(np.linspace(0, 65535, 16).astype(np.uint16), (16, 1))  # dark at the left
    expected = np.linspace(0, 255, 16)
    stream = io.BytesIO()
    Image.fromarray(ramp).save(stream, "PNG")
    np.testing.assert_allclose(decode_upload(stream.getvalue(), 16, 1)[:, :, 0], np.tile(expected, (16, 1)), atol=1)
    stream, turned = io.BytesIO(), Image.Exif()
    turned[0x0112] = 6  # to be turned to the right
    Image.fromarray((ramp // 257).astype(np.uint8)).save(stream, "PNG", exif=turned)
    np.testing.assert_allclose(decode_upload(stream.getvalue(), 16, 1)[:, :, 0], np.tile(expected, (16, 1)).T, atol=1)
    stream = io.BytesIO()
    Image.new("RGBA", (16, 16), (255, 0, 0, 51)).save(stream, "PNG")
    np.testing.assert_allclose(decode_upload(stream.getvalue(), 16, 3), np.full((16, 16, 3), (255, 204, 204)), atol=1)


def test_a_picture_of_too_many_pixels_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(uploads, "PIXELS_LIMIT", 799)
    with pytest.raises(UserError, match="a picture of 40x20 pixels is too large"):
        decode_upload(png(), 16, 3)


def png_color(mode: str) -> list[int]:
    return [200, 0, 0] if mode == "RGB" else [200, 200, 200]
