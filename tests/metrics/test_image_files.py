"""Folders and zips of pictures as they are."""

import pytest
import torch
from click.testing import CliRunner

import generate
from dnnlib.errors import UserError
from metrics.image_files import ImageFiles
from tests.metrics.pictures import write_pictures
from tests.tiny_models import save_tiny_snapshot
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


# ---- what consists of several pictures is not measured


def test_what_generate_writes_beside_pictures_is_left_out(tmp_path):
    runs = save_tiny_snapshot(tmp_path)
    options = [f"--network={runs}", f"--outdir={tmp_path / 'out'}", "--device=cpu", "--seeds=0-3"]
    for more in (["--show-heatmaps"], ["--centers=0,0", "--move=0.2,0", f"--video={tmp_path / 'out' / 'move.gif'}"],
                 ["--grid=2x2", "--show-heatmaps"]):
        result = CliRunner().invoke(generate.main, [*options, *more])
        assert result.exit_code == 0, result.output
    found = ImageFiles(tmp_path / "out")
    assert found.image_names == [f"seed000{i}.png" for i in range(4)]
    assert len(found.left_out) == 4 + 4 + 1 + 2
    (remark,) = found.remarks()
    assert "left out 11 that are no single pictures: grids/grid-heatmaps.png, grids/grid.png, heatmaps/" in remark
    assert len(ImageFiles(tmp_path / "out" / "heatmaps")) == 4  # by its own name, whoever wants it


def test_grids_of_a_run_are_no_pictures(tmp_path):
    for name in ("fakes000001", "heatmaps000001", "steer000001", "reals"):
        picture(1, 64).save(tmp_path / f"{name}.png")
    assert len(ImageFiles(tmp_path)) == 4  # pictures of somebody's own with such names
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds grids and strips of pictures only"):
        ImageFiles(tmp_path)


def test_names_of_earlier_versions_are_known(tmp_path):
    names = ["seed0001.png", "seed0001-heatmaps.png", "seed0001-strip.png", "grid.png", "latent0000.png", "a-strip.png"]
    for name in names:
        picture(1, 8).save(tmp_path / name)
    assert ImageFiles(tmp_path).image_names == ["a-strip.png", "latent0000.png", "seed0001.png"]


def test_several_sizes_are_said(tmp_path):
    for number, side in enumerate((8, 8, 8, 16, 4)):
        picture(number, side).save(tmp_path / f"{number}.png")
    assert ImageFiles(tmp_path).remarks() == [f"{tmp_path}: 3 pictures of 8x8 RGB, 2 of 2 other sizes or kinds"]
