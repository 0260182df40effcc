"""projector.py and `edit.py drag`: their files are what generate.py reproduces, and bad input is one line."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from edit import main as edit
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
