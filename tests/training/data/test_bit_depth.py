"""Pictures of more than 8 bits, padding and backgrounds, as dataset_tool.py writes them."""

import numpy as np
import pytest
from PIL import Image

from tests.training.data_samples import encoded, picture, write_folder
from tests.training.tool import convert, images, refused
from training.data.bit_depth import BitDepth

RAMP = np.linspace(0, 1, 64).reshape(8, 8)


def deep(values: np.ndarray) -> bytes:
    return encoded(Image.fromarray(values), "tiff")


def write(folder, *pictures):
    return write_folder(folder, {f"{'ab'[i]}.tif": deep(values) for i, values in enumerate(pictures)})


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floats(tmp_path, white):
    output = convert(write(tmp_path / "a", (RAMP * white).astype(np.float32)), tmp_path / "out.zip")
    assert f"floats turned into 8 bits, {white} becoming white: 1 image" in output
    np.testing.assert_allclose(images(tmp_path / "out.zip")[0], RAMP * 255, atol=0.51)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", [np.uint16, np.int32])
def test_whole_numbers(tmp_path, bits, kind):
    values = (RAMP * (2**bits - 1)).astype(kind)
    output = convert(write(tmp_path / "a", values), tmp_path / "out.zip")
    assert ("taken as 8 bits" if bits == 8 else f"reduced from {bits} to 8 bits") in output
    np.testing.assert_array_equal(images(tmp_path / "out.zip")[0], values >> (bits - 8))


def test_bright_pictures_are_read_in_silence(recwarn):
    BitDepth().add("a.tif", Image.fromarray(np.full([4, 4], 60_000, np.uint16)))  # twice that is no uint16
    assert list(recwarn) == []


def test_one_range_for_all_pictures(tmp_path):
    dark, light = (RAMP * 100).astype(np.uint16), (RAMP * 4095).astype(np.uint16)
    convert(write(tmp_path / "a", dark, light), tmp_path / "out.zip")
    np.testing.assert_array_equal(images(tmp_path / "out.zip"), [dark >> 4, light >> 4])


@pytest.mark.parametrize(
    "values, complaint",
    [
        (RAMP.astype(np.float32) * 1000 - 500, "not clear which are black and white"),
        (RAMP.astype(np.float32) * 1e6, "not clear which are black and white"),
        ((RAMP * 1e6).astype(np.int32), "whole numbers may reach from 0 to 255, 1023"),
        ((RAMP * 100 - 50).astype(np.int32), "whole numbers may reach"),
        (np.where(RAMP > 0.5, np.nan, RAMP).astype(np.float32), "no finite numbers"),
    ],
)
def test_unclear_ranges_are_refused(tmp_path, values, complaint):
    source = write(tmp_path / "a", values)
    message = refused(f"--source={source}", f"--dest={tmp_path / 'out.zip'}")
    assert complaint in message
    assert "a.tif" in message


def test_squeezing_is_refused_with_two_remedies(tmp_path):
    source = write_folder(tmp_path / "a", {"a.png": picture(0, (24, 16))})
    command = f"--source={source}", f"--dest={tmp_path / 'out.zip'}", "--width=8"
    message = refused(*command)
    assert "a.png is 24x16" in message
    for transform in ("--transform=center-crop", "--transform=pad"):
        assert transform in message
        convert(source, tmp_path / "out.zip", "--width=8", transform)


@pytest.mark.parametrize("options, color", [([], (0, 0, 0)), (["--background=#0a141e"], (10, 20, 30))])
def test_pad(tmp_path, options, color):
    source = write_folder(tmp_path / "a", {"a.png": Image.new("RGB", (32, 16), (255, 0, 0))})
    convert(source, tmp_path / "out.zip", "--transform=pad", "--width=16", *options)
    [found] = images(tmp_path / "out.zip")
    assert found.shape == (16, 16, 3)
    assert (found[4:12] == (255, 0, 0)).all()
    assert (found[:4] == color).all()
    assert (found[12:] == color).all()


def test_background_of_transparent_pictures(tmp_path):
    source = write_folder(tmp_path / "a", {"a.png": Image.new("LA", (8, 8), (0, 0))})
    output = convert(source, tmp_path / "out.zip", "--background=red")
    assert "composited on the background" in output
    assert (images(tmp_path / "out.zip")[0] == (255, 0, 0)).all()
    assert "is no color" in refused(f"--source={source}", f"--dest={tmp_path / 'b.zip'}", "--background=reddish")
