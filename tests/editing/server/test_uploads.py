"""Refused uploads and masks: one line in plain words, without the names of Python's objects."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from dnnlib.errors import UserError
from editing.document import Mask
from editing.masks import mask_array
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


def png_color(mode: str) -> list[int]:
    return [200, 0, 0] if mode == "RGB" else [200, 200, 200]
