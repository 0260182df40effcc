"""Folders and zips of pictures as they are."""

import pytest
import torch

from dnnlib.errors import UserError
from metrics.image_files import ImageFiles
from tests.metrics.pictures import write_pictures
from tests.training.data_samples import picture, write_zip


def test_folders_and_zips_hold_the_same(tmp_path):
    images = {f"{i}.png": picture(i, 20) for i in range(3)}
    zipped = ImageFiles(write_zip(tmp_path / "a.zip", images))
    for name, image in images.items():
        image.save(tmp_path / name)
    folder = ImageFiles(tmp_path)
    assert len(folder) == len(zipped) == 3
    for i in range(3):
        assert (folder[i][0] == zipped[i][0]).all()
        assert folder[i][0].shape == (3, 20, 20)


def test_the_hash_goes_by_content(tmp_path):
    first, second, other = (write_pictures(tmp_path / n, seed) for n, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert ImageFiles(first).content_hash() == ImageFiles(second).content_hash()
    assert ImageFiles(first).content_hash() != ImageFiles(other).content_hash()


def test_pixels_may_be_changed(tmp_path):
    pixels = ImageFiles(write_pictures(tmp_path / "a", 1))[0][0]
    assert torch.from_numpy(pixels).dtype == torch.uint8
    assert pixels.flags.writeable


def test_refusals(tmp_path):
    with pytest.raises(UserError, match="there is no data set at"):
        ImageFiles(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no image files"):
        ImageFiles(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"bad\.png is damaged"):
        ImageFiles(tmp_path)[0]
    picture(1, 8).convert("RGBA").save(tmp_path / "bad.png")
    with pytest.raises(UserError, match=r"bad\.png has transparency"):
        ImageFiles(tmp_path)[0]
