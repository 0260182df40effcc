"""The models that come with the project: small, described, and drawn by the commands that take networks."""

import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import generate
from training.runs.snapshot import open_snapshot
from training.sampling import Model

FOLDER = Path(__file__).parents[1] / "models"
MODELS = sorted(FOLDER.glob("*.safetensors"))


def test_the_demo_s_model_is_there():
    assert "faces32" in [path.stem for path in MODELS]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_it_is_small_and_has_a_card_and_a_picture(path: Path):
    assert path.stat().st_size <= 4_000_000
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    for said in ("- Data: ", "- Trained with `python train.py ", "- Licence: ", "| metric | value |"):
        assert said in card
    with Image.open(path.with_suffix(".png")) as picture:
        assert picture.width > 400


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_it_names_no_path_of_a_machine(path: Path):
    config = open_snapshot(path).config.model_dump_json()
    assert re.search(r'"/', config) is None
    assert re.search(r"[=\s]/\w", path.with_suffix(".md").read_text(encoding="utf-8")) is None


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_its_pictures_are_pictures_and_follow_layouts(path: Path):
    model = Model.load(path, "cpu")
    images = model.images([0, 1, 2, 3])
    assert images.isfinite().all()
    assert images.std() > 0.2
    assert images.abs().quantile(0.9) < 1.3
    layout = model.layout([0])
    moved = model.images([0], layout=layout.moved(0, 0, 0.4, 0.0))
    assert (moved - model.images([0], layout=layout)).abs().mean() > 0.02
    assert not torch.equal(images[0], images[1])


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_commands_take_it(path: Path, tmp_path: Path):
    done = CliRunner().invoke(generate.main, [f"--network={path}", "--seeds=1", f"--outdir={tmp_path}", "--device=cpu"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "seed0001.png").exists()
