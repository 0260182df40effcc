import numpy as np
import pytest
from PIL import Image

from tests.training.data_samples import encoded, picture, write_folder
from tests.training.tool import convert, images, refused


@pytest.fixture
def photos(tmp_path):
    return write_folder(tmp_path / "photos", {f"{name}.png": picture(i, 16) for i, name in enumerate("abc")})


# -- colours --


def test_transparency_is_put_on_white_and_said(tmp_path):
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 4, 8))
    grey = Image.new("LA", (8, 8), (0, 0))
    source = write_folder(tmp_path / "a", {"a.png": image, "b.png": image.quantize(), "c.png": grey})
    output = convert(source, tmp_path / "out.zip")
    assert "composited on white: 3 images" in output
    assert "a.png" in output
    colored, palette, plain = images(tmp_path / "out.zip")
    assert colored[0, 0].tolist() == palette[0, 0].tolist() == [0, 0, 255]
    assert colored[0, 7].tolist() == palette[0, 7].tolist() == plain[0, 0].tolist() == [255, 255, 255]


def test_16_bits_become_8(tmp_path):
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    source = write_folder(tmp_path / "a", {"a.png": Image.fromarray(values)})
    assert "reduced from 16 to 8 bits: 1 image" in convert(source, tmp_path / "out.zip")
    np.testing.assert_array_equal(images(tmp_path / "out.zip")[0], values >> 8)


def test_cmyk_is_converted_and_said(tmp_path):
    source = write_folder(tmp_path / "a", {"a.jpg": encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "jpeg")})
    assert "converted from CMYK: 1 image" in convert(source, tmp_path / "out.zip")
    red, green, blue = images(tmp_path / "out.zip")[0][0, 0]
    assert red > 200
    assert max(green, blue) < 60


def test_grey_alone_stays_grey(tmp_path):
    source = write_folder(tmp_path / "a", {"a.png": picture(0, mode="L"), "b.png": picture(1, mode="L")})
    assert "grey, no labels" in convert(source, tmp_path / "out.zip")
    assert images(tmp_path / "out.zip")[0].shape == (8, 8)


def test_grey_among_colors_becomes_rgb_and_is_said(tmp_path):
    source = write_folder(tmp_path / "a", {"a.png": picture(0, mode="L"), "b.png": picture(1)})
    output = convert(source, tmp_path / "out.zip")
    assert "grey turned to RGB" in output
    assert "2 images, 8x8, RGB" in output
    found = images(tmp_path / "out.zip")[0]
    np.testing.assert_array_equal(found, np.repeat(np.asarray(picture(0, mode="L"))[..., None], 3, axis=2))


def test_photographs_are_turned_upright(tmp_path):
    image = Image.new("RGB", (16, 8), (255, 255, 255))
    image.paste((0, 0, 0), (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    source = write_folder(tmp_path / "a", {"a.png": encoded(image, exif=exif)})
    message = refused(f"--source={source}", f"--dest={tmp_path / 'out.zip'}")
    assert "8x16" in message
    convert(source, tmp_path / "out.zip", "--transform=center-crop", "--width=8", "--height=8")
    found = images(tmp_path / "out.zip")[0]
    assert found[0].max() == 0
    assert found[-1].min() == 255


# -- sizes --


@pytest.mark.parametrize(
    "sizes, complaint",
    [
        ([(16, 16), (8, 8)], ("b.png is 8x8", "a.png is 16x16", "--width=16")),
        ([(20, 20), (16, 16)], ("a.png is 20x20", "--width=16", "--transform=center-crop")),
        ([(16, 8), (16, 8)], ("a.png is 16x8", "--width=8")),
    ],
)
def test_unusable_sizes_are_named_with_a_remedy(tmp_path, sizes, complaint):
    files = {f"{'ab'[i]}.png": picture(size=size) for i, size in enumerate(sizes)}
    source = write_folder(tmp_path / "a", files)
    message = refused(f"--source={source}", f"--dest={tmp_path / 'out.zip'}")
    assert all(part in message for part in complaint)
    remedy = [word.strip(",") for word in message.split() if word.startswith("--")]
    convert(source, tmp_path / "out.zip", *remedy)


@pytest.mark.parametrize(
    "options, complaint",
    [
        (["--width=16", "--height=8"], "must be equal"),
        (["--width=12"], "power of two"),
        (["--transform=center-crop-wide", "--width=16"], "--height"),
        (["--transform=center-crop-wide", "--width=8", "--height=16"], "smaller --height"),
    ],
)
def test_bad_size_options(photos, tmp_path, options, complaint):
    assert complaint in refused(f"--source={photos}", f"--dest={tmp_path / 'out.zip'}", *options)


def test_pictures_of_several_frames_are_said(tmp_path):
    others = {"save_all": True, "append_images": [picture(1, 8), picture(2, 8)]}
    files = {f"a.{kind}": encoded(picture(0, 8), kind, **others) for kind in ("gif", "webp", "tiff", "png")}
    output = convert(write_folder(tmp_path / "a", files | {"b.png": picture(0, 8)}), tmp_path / "out.zip")
    assert "only the first of several frames or pages taken: 4 images, first" in output
    assert "5 images, 8x8" in output


@pytest.mark.parametrize("option", ["--width=8", "--height=8"])
def test_resizing_averages(tmp_path, option):
    checks = np.indices((16, 16)).sum(axis=0) % 2 * 255
    source = write_folder(tmp_path / "a", {"a.png": Image.fromarray(checks.astype(np.uint8))})
    convert(source, tmp_path / "out.zip", option, "--resize-filter=box")
    np.testing.assert_allclose(images(tmp_path / "out.zip")[0], 127.5, atol=1)


def test_filters_differ(photos, tmp_path):
    for name in ("box", "lanczos"):
        convert(photos, tmp_path / f"{name}.zip", "--width=8", "--height=8", f"--resize-filter={name}")
    assert not np.array_equal(images(tmp_path / "box.zip"), images(tmp_path / "lanczos.zip"))


def three_stripes(width, height):
    """Red, green, blue from left to right; green is as wide as the picture is high."""
    image = Image.new("RGB", (width, height), (0, 255, 0))
    margin = (width - height) // 2
    image.paste((255, 0, 0), (0, 0, margin, height))
    image.paste((0, 0, 255), (width - margin, 0, width, height))
    return image


@pytest.mark.parametrize("turned", [False, True])
def test_center_crop(tmp_path, turned):
    image = three_stripes(40, 16)
    source = write_folder(tmp_path / "a", {"a.png": image.transpose(Image.Transpose.ROTATE_90) if turned else image})
    convert(source, tmp_path / "out.zip", "--transform=center-crop", "--width=8", "--height=8")
    assert (images(tmp_path / "out.zip")[0] == (0, 255, 0)).all()


def test_center_crop_without_a_size_keeps_the_pixels(tmp_path):
    image = picture(0, (24, 16))
    convert(write_folder(tmp_path / "a", {"a.png": image}), tmp_path / "out.zip", "--transform=center-crop")
    np.testing.assert_array_equal(images(tmp_path / "out.zip")[0], np.asarray(image)[:, 4:20])


def test_center_crop_wide(tmp_path):
    white = Image.new("RGB", (100, 100), (255, 255, 255))
    source = write_folder(tmp_path / "a", {"a.png": white})
    convert(source, tmp_path / "out.zip", "--transform=center-crop-wide", "--width=16", "--height=10")
    [found] = images(tmp_path / "out.zip")
    assert found.shape == (16, 16, 3)
    np.testing.assert_array_equal(found[:, 0, 0], [0] * 3 + [255] * 10 + [0] * 3)


def test_enlarging_is_said(photos, tmp_path):
    write_folder(photos, {"z.png": picture(size=64)})
    output = convert(photos, tmp_path / "out.zip", "--width=32")
    assert "enlarged, being smaller than the result: 3 images" in output
