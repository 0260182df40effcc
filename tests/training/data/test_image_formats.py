"""Which pictures are opened, and how large ones."""

import io
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from dnnlib.errors import UserError
from metrics.image_files import ImageFiles
from tests.training.data_samples import encoded, picture, write_folder
from tests.training.tool import convert, images, refused, run
from training.data.dataset import ImageDataset
from training.data.image_formats import FORMATS, Limits, OverLimit, limits_set, open_image
from training.scenes.backgrounds import load_photo
from training.scenes.cutouts import load_cutout

EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\n{} loop\n"  # never ends
    b"showpage\n%%EOF\n"
)


@pytest.fixture
def no_programs(monkeypatch):
    """Starting one is an error, however it is done."""

    def refuse(*arguments, **options):
        raise AssertionError(f"a program was started: {arguments}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr("os.system", refuse)


def readers(path: Path) -> list:
    """All ways in which a picture in a folder is read."""
    return [
        lambda: ImageDataset(path)[0],
        lambda: ImageFiles(path)[0],
        lambda: load_photo(path / "x.png", 8),
        lambda: load_cutout(path / "x.png", 4, 8),
    ]


@pytest.mark.parametrize("way", range(4))
def test_other_formats_are_no_pictures_and_start_no_program(tmp_path, no_programs, way):
    with pytest.raises((UserError, OSError), match=r"not an image|cannot identify"):
        readers(write_folder(tmp_path / "a", {"x.png": EPS}))[way]()


def test_the_tool_starts_no_program(tmp_path, no_programs):
    source = write_folder(tmp_path / "a", {"x.png": EPS, "y.png": picture(1)})
    assert "1 damaged skipped" in convert(source, tmp_path / "out.zip")
    write_folder(tmp_path / "b", {"x.png": EPS})
    assert "not an image" in refused(f"--source={tmp_path / 'b'}", f"--dest={tmp_path / 'out.zip'}")


def test_the_formats_start_nothing_and_open_nothing_else():
    assert not {"EPS", "WMF", "FITS", "IPTC", "MIC", "FPX", "PSD", "PCD", "ICNS", "MPEG", "GRIB"} & set(FORMATS)


def enormous(side: int = 14_000) -> bytes:
    """A sound black PNG of 196 megapixels, 24 kB."""
    header = side.to_bytes(4) * 2 + bytes([1, 0, 0, 0, 0])  # one bit a pixel
    row = bytes(1 + (side + 7) // 8)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(row * side, 9)), (b"IEND", b"")]
    body = b"".join(
        len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def with_text(size: int) -> bytes:
    """A sound PNG with a compressed text of so many bytes."""
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * size, zip=True)
    return encoded(picture(1), pnginfo=info)


@pytest.mark.parametrize("way", range(4))
@pytest.mark.parametrize(
    "data, complaint",
    [(enormous(), "196000000 pixels, more than the 178956970"), (with_text(1 << 21), "more than 1048576 bytes")],
)
def test_sound_pictures_over_a_limit_are_not_called_damaged(tmp_path, way, data, complaint):
    with pytest.raises(OverLimit) as caught:
        readers(write_folder(tmp_path / "a", {"x.png": data}))[way]()
    assert complaint in str(caught.value)
    assert "raise the limit" in str(caught.value)
    assert "damaged" not in str(caught.value)


def test_the_tool_names_the_limit_and_the_option(tmp_path):
    source = write_folder(tmp_path / "a", {"a.png": picture(1), "b.png": enormous(), "c.png": with_text(1 << 21)})
    output = convert(source, tmp_path / "out.zip")
    assert "b.png: it has 14000x14000 = 196000000 pixels" in output
    assert "--max-pixels=196000000" in output
    assert "c.png: it holds a text or a color profile of more than 1048576 bytes" in output
    assert "0 damaged skipped, 2 over a limit skipped" in output
    command = f"--source={source}", f"--dest={tmp_path / 'strict.zip'}", "--strict"
    assert "b.png is refused" in refused(*command)
    write_folder(tmp_path / "b", {"b.png": enormous()})
    assert "--max-pixels=196000000" in refused(f"--source={tmp_path / 'b'}", f"--dest={tmp_path / 'out.zip'}")


def test_the_options_raise_the_limits(tmp_path):
    source = write_folder(tmp_path / "a", {"a.png": picture(1), "c.png": with_text(1 << 21)})
    assert "2 images" in convert(source, tmp_path / "out.zip", "--max-text=3000000")
    assert len(images(tmp_path / "out.zip")) == 2
    write_folder(source, {"b.png": picture(1, 16)})
    output = convert(source, tmp_path / "out.zip", "--max-text=3000000", "--max-pixels=64")
    assert "b.png: it has 16x16 = 256 pixels, more than the 64" in output
    assert "2 images, 8x8, RGB, no labels, 0 damaged skipped, 1 over a limit skipped" in output
    assert Limits.current() == Limits()


@pytest.mark.slow
def test_a_picture_of_196_megapixels_is_read_when_asked_to(tmp_path):
    source = write_folder(tmp_path / "a", {"a.png": enormous()})
    output = convert(source, tmp_path / "out.zip", "--max-pixels=196000000", "--width=16", "--height=16")
    assert "1 image, 16x16" in output


def test_limits_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("STEERGAN_MAX_PIXELS", "63")
    file = io.BytesIO(encoded(picture()))
    with pytest.raises(OverLimit, match="8x8 = 64 pixels, more than the 63"), open_image(file):
        pass
    monkeypatch.setenv("STEERGAN_MAX_PIXELS", "64")
    with open_image(file) as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(picture()))


@pytest.mark.parametrize("text", ["0", "-1", "1e9", "nan", "1" * 16, "²"])
def test_limits_that_are_no_numbers(monkeypatch, text):
    monkeypatch.setenv("STEERGAN_MAX_TEXT", text)
    with pytest.raises(UserError, match=r"STEERGAN_MAX_TEXT=.* is no whole number"):
        Limits.current()
    assert "--max-pixels" in run("--source=a", "--dest=b", f"--max-pixels={text}", expect=2)


def test_limits_end_with_their_block(monkeypatch):
    monkeypatch.setenv("STEERGAN_MAX_TEXT", "5")
    with limits_set(pixels=3, text=4):
        assert Limits.current() == Limits(3, 4)
    assert Limits.current() == Limits(text=5)


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_is_read(tmp_path, format):
    if format not in Image.SAVE:
        Image.init()
    if format not in Image.SAVE:
        pytest.skip(f"this Pillow has no {format}")
    with open_image(io.BytesIO(encoded(picture(1, 16), format))) as image:
        assert image.size == (16, 16)


def test_targa_goes_by_its_ending(tmp_path):
    data = encoded(picture(1), "tga")
    with open_image(io.BytesIO(data), "a.TGA") as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(picture(1)))
    with pytest.raises(OSError, match="cannot identify"), open_image(io.BytesIO(data), "a.png"):
        pass
