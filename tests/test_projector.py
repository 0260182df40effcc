"""projector.py and `edit.py drag`: their files are what generate.py reproduces, and bad input is one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from dnnlib.errors import UserError
from edit import main as edit
from editing.projection_request import _names, _video_factor
from generate import main as generate
from projector import main as projector
from tests.tiny_models import save_tiny_snapshot


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    save_tiny_snapshot(folder)
    return folder


def called(command, *words: object, status: int = 0):
    result = CliRunner().invoke(command, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_a_projected_picture_is_made_again_by_generate(run: Path, tmp_path: Path):
    Image.fromarray(np.full([40, 30, 3], 90, np.uint8)).save(tmp_path / "photo.png")
    fixed = "--network", run, "--device", "cpu", "--outdir"
    called(projector, *fixed, tmp_path / "out", "--target", tmp_path / "photo.png", "--num-steps", 3)
    made = tmp_path / "out"
    given = "--latents", made / "projected.npz", "--layout", made / "layout.json"
    called(generate, *fixed, tmp_path / "again", *given)
    pair, again = pixels(made / "photo.png"), pixels(tmp_path / "again" / "latent0000.png")
    found = pair[:64:4, 66::4]  # the right one of two, of 16 pixels shown as 64
    assert np.abs(found.astype(int) - again).max() <= 1


def test_names_are_told_apart():
    paths = ["a/x.png", "b/x.png", "c/X-2.png", "comparison.png", "y.jpg"]
    assert _names([Path(path) for path in paths]) == ["x", "x-2", "X-2-2", "comparison-2", "y"]


@pytest.mark.parametrize("place", ["photo.png", "comparison.png", "film.gif"])
def test_pictures_that_are_looked_for_are_not_written_over(run: Path, tmp_path: Path, place: str):
    Image.fromarray(np.full([20, 20, 3], 90, np.uint8)).save(tmp_path / place)
    before = (tmp_path / place).read_bytes()
    (tmp_path / "link").symlink_to(tmp_path)
    words = "--target", tmp_path / "link" / place, "--outdir", tmp_path, "--video", tmp_path / "film.gif"
    result = called(projector, "--network", run, "--device", "cpu", *words, status=2)
    assert f"{place}: a file of that name is written, too; choose another" in result.stderr
    assert result.stderr.count("\n") == 1
    assert (tmp_path / place).read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([place, "link"])


@pytest.mark.parametrize("name", ["photo.png", "comparison.png", "layout.json"])
def test_a_folder_in_the_place_of_a_file_is_found_before_the_search(run: Path, tmp_path: Path, name: str):
    Image.fromarray(np.full([20, 20, 3], 90, np.uint8)).save(tmp_path / "photo.png")
    (tmp_path / "out" / name).mkdir(parents=True)
    words = "--target", tmp_path / "photo.png", "--outdir", tmp_path / "out"
    result = called(projector, "--network", run, "--device", "cpu", *words, status=2)
    assert f"{name}: this is a directory, and a file of that name is written" in result.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


def test_weights_are_those_of_lpips(run: Path, tmp_path: Path):
    Image.fromarray(np.full([20, 20, 3], 90, np.uint8)).save(tmp_path / "photo.png")
    words = "--target", tmp_path / "photo.png", "--outdir", tmp_path / "out", "--device", "cpu"
    for given, said in (
        (("--weights", "vgg16=a.pth"), "--weights are those of --loss=lpips; --loss=random has none"),
        (("--loss=lpips", "--weights", "a.pth"), "whose weights are they? Write NAME=FILE"),
        (("--loss=lpips", "--weights", "vgg16=a.pth"), "--weights vgg16=a.pth: there is no file a.pth"),
    ):
        result = called(projector, "--network", run, *words, *given, status=2)
        assert said in result.stderr
        assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_several_pictures_at_a_time_and_a_video(run: Path, tmp_path: Path):
    for name in ("a.png", "b.png", "sub/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full([20, 20, 3], len(name) * 9, np.uint8)).save(tmp_path / name)
    targets = "--target", tmp_path / "a.png", "--target", tmp_path / "sub", "--target", tmp_path / "b.png"
    fixed = "--network", run, "--device", "cpu", "--outdir", tmp_path / "out", "--video", tmp_path / "out/way.gif"
    called(projector, *fixed, *targets, "--num-steps", 2, "--batch", 2)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "a.png", "a-2.png", "b.png", "comparison.png", "layout.json", "projected.json", "projected.npz", "way.gif",
    }  # fmt: skip
    found = json.loads((tmp_path / "out/projected.json").read_text())["pictures"]
    assert [each["name"] for each in found] == ["a", "a-2", "b"]
    assert [each["target"] for each in found] == [str(tmp_path / name) for name in ("a.png", "sub/a.png", "b.png")]
    assert np.load(tmp_path / "out/projected.npz")["w"].shape[0] == 3
    assert Image.open(tmp_path / "out/way.gif").n_frames > 1  # those that are the same are one


def test_many_large_pictures_are_shown_smaller_in_a_video():
    assert [_video_factor(count, 1024) for count in (1, 2, 16)] == [1, 2, 4]
    assert _video_factor(1, 32) == 1
    with pytest.raises(UserError, match="a video of 1000 pictures has 3,310 million pixels; leave --video out"):
        _video_factor(1000, 1024)


def test_drag_writes_a_strip_and_what_reproduces_it(run: Path, tmp_path: Path):
    words = "--points", "0,0>0.4,0", "--max-steps", 3, "--device", "cpu", "--frames", 2
    saved = "--save-latents", tmp_path / "w.npz", "--save-layout", tmp_path / "l.json"
    result = called(edit, "drag", "--network", run, *words, *saved, "--out", tmp_path / "strip.png", "--seed", 1)
    assert "distance left" in result.output
    again = "--network", run, "--device", "cpu", "--outdir", tmp_path / "again"
    called(generate, *again, "--latents", tmp_path / "w.npz", "--layout", tmp_path / "l.json")
    shown = pixels(tmp_path / "strip.png")[:64:4, 66::4]
    assert np.abs(shown.astype(int) - pixels(tmp_path / "again" / "latent0000.png")).max() <= 1


@pytest.mark.parametrize("wrong", ["0,0", "0,0>a,1", "0,0>2,0", "0,0>nan,0", "0,0>1,0>1,1"])
def test_wrong_points_are_one_line(run: Path, tmp_path: Path, wrong: str):
    out = tmp_path / "new" / "strip.png"
    result = called(edit, "drag", "--network", run, "--points", wrong, "--out", out, "--device", "cpu", status=2)
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert not out.parent.exists()


@pytest.mark.parametrize("mask", ["black.png", "0,0,0", "5,5,0.1", "none.png"])
def test_a_mask_that_lets_nothing_change_is_one_line(run: Path, tmp_path: Path, mask: str):
    Image.new("L", (16, 16)).save(tmp_path / "black.png")
    given = tmp_path / mask if mask.endswith("png") else mask
    out = tmp_path / "new" / "strip.png"
    words = "--points", "0,0>0.1,0", "--mask", given, "--out", out, "--device", "cpu"
    result = called(edit, "drag", "--network", run, *words, status=2)
    assert result.stderr.count("\n") == 1
    assert mask in result.stderr
    assert not out.parent.exists()


def test_what_is_no_picture_is_one_line(run: Path, tmp_path: Path):
    (tmp_path / "photo.png").write_bytes(b"no picture")
    words = "--network", run, "--device", "cpu", "--outdir", tmp_path / "out", "--target", tmp_path / "photo.png"
    result = called(projector, *words, status=2)
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
