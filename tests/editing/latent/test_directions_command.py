"""edit.py directions, and generate.py --direction with what it writes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import edit
import generate
from editing.latent.sefa import sefa
from tests.tiny_models import save_tiny_snapshot, tiny_model
from training.latent.directions import load_directions, save_directions
from training.pictures.grids import to_pixels
from training.sampling import Model


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, options in {"plain": {}, "scene": {"method": "spatialgan-indoor"}, "classes": {"classes": 3}}.items():
        (folder / name).mkdir()
        save_tiny_snapshot(folder / name, **options)
    return folder


def directions(runs: Path, dest: Path, words: str = "", network: str = "plain") -> Result:
    fixed = ["directions", f"--network={runs / network}", f"--dest={dest}", "--device=cpu", "--samples=50"]
    return CliRunner().invoke(edit.main, [*fixed, *words.split()])


def generated(runs: Path, out: Path, words: str, network: str = "plain") -> Result:
    fixed = [f"--network={runs / network}", f"--outdir={out}", "--device=cpu"]
    return CliRunner().invoke(generate.main, [*fixed, *words.split()])


@pytest.mark.parametrize("words, network, count", [
    ("--method=sefa --count=3", "plain", 3),
    ("--method=ganspace --count=2 --layers=0-1", "plain", 2),
    ("--method=sefa --count=2 --part=background", "scene", 2),
    ("--method=ganspace --count=2 --class=1", "classes", 2),
])  # fmt: skip
def test_a_file_and_a_figure_are_written(runs: Path, tmp_path: Path, words: str, network: str, count: int):
    result = directions(runs, tmp_path / "a.safetensors", f"{words} --columns=5", network)
    assert result.exit_code == 0, result.output
    found = load_directions(tmp_path / "a.safetensors")
    assert (len(found), found.network) == (count, "small")
    page = np.asarray(Image.open(tmp_path / "a.png"))
    assert page.shape == (16 + count * 66 - 2, 120 + 5 * 66 - 2, 3)
    heads = [page[:16, 120 + 66 * i : 184 + 66 * i] for i in range(5)]  # of the strengths -3, -1.5, 0, 1.5 and 3
    assert all((head < 128).any() for head in heads)
    assert len({head.tobytes() for head in heads}) == 5
    cells = [page[16:80, 120 + 66 * i : 184 + 66 * i] for i in range(5)]
    assert not np.array_equal(cells[0], cells[4])


def test_the_middle_of_the_figure_is_the_picture_itself(runs: Path, tmp_path: Path):
    directions(runs, tmp_path / "a.safetensors", "--count=1 --columns=3 --seed=5 --span=2")
    page, model = np.asarray(Image.open(tmp_path / "a.png")), Model.load(runs / "plain", "cpu")
    ws, found = model.styles([5]), load_directions(tmp_path / "a.safetensors")
    for column, strength in enumerate((-2.0, 0.0, 2.0)):
        cell = page[16::4, 120 + 66 * column : 184 + 66 * column : 4]
        moved = model.images([5], ws=found.moved(ws, 0, strength), layout=model.layout([5]))
        assert np.abs(cell.astype(int) - to_pixels(moved)[0]).max() <= 1


def test_generate_goes_along_them(runs: Path, tmp_path: Path):
    path = tmp_path / "a.safetensors"
    directions(runs, path, "--count=3")
    words = f"--seeds=3,4 --direction={path}:0:-2 --direction={path}:sefa2:1.5"
    result = generated(runs, tmp_path / "out", words)
    assert result.exit_code == 0, result.output
    model, found = Model.load(runs / "plain", "cpu"), load_directions(path)
    ws = found.moved(found.moved(model.styles([3, 4]), 0, -2.0), 2, 1.5)
    expected = to_pixels(model.images([3, 4], ws=ws))
    for number, seed in enumerate((3, 4)):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"out/seed000{seed}.png")), expected[number])


def test_a_strength_of_0_changes_nothing(runs: Path, tmp_path: Path):
    directions(runs, tmp_path / "a.safetensors", "--count=1")
    generated(runs, tmp_path / "out", f"--seeds=3 --direction={tmp_path}/a.safetensors:0:0")
    generated(runs, tmp_path / "plain", "--seeds=3")
    assert (tmp_path / "out/seed0003.png").read_bytes() == (tmp_path / "plain/seed0003.png").read_bytes()


@pytest.mark.parametrize("words, complaint", [
    ("--direction={path}:7:1", "the largest number here is 0"),
    ("--direction={path}:smile:1", "no direction 'smile'"),
    ("--direction={path}:0", "is not of the form FILE:k:strength"),
    ("--direction={path}:0:much", "must be 1 comma-separated number"),
    ("--direction={path}.gone:0:1", "no such file"),
    ("--direction={network}:0:1", "not a file of directions"),
])  # fmt: skip
def test_generate_refuses_in_one_line_and_writes_nothing(runs: Path, tmp_path: Path, words: str, complaint: str):
    path = tmp_path / "a.safetensors"
    directions(runs, path, "--count=1")
    network = next((runs / "plain").glob("*.safetensors"))
    result = generated(runs, tmp_path / "out", "--seeds=3 " + words.format(path=path, network=network))
    assert result.exit_code == 2, result.output
    assert complaint in result.output
    assert result.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words, network, complaint", [
    ("--layers=3-1", "plain", "is not of the form A-B"),
    ("--layers=0-99", "plain", "this model has layers 0-"),
    ("--layers=x", "plain", "is not of the form A-B"),
    ("--part=objects", "plain", "one style for all of an image"),
    ("--condition=scene:faces", "plain", "sefa looks at no pictures"),
    ("--space=z", "plain", "sefa finds directions in w"),
    ("--method=interfacegan", "plain", "no toy scenes are known for none"),
    ("--method=sgf --condition=scene:cats", "plain", "no such toy scenes"),
    ("--method=sgf --condition=cats", "plain", "neither scene:KIND"),
    ("--method=sgf --condition=gone.onnx", "plain", "no such file"),
    ("--method=nothing", "plain", "Invalid value"),
    ("--class=1", "plain", "trained without labels"),
])  # fmt: skip
def test_bad_requests_are_refused_in_one_line(runs: Path, tmp_path: Path, words: str, network: str, complaint: str):
    result = directions(runs, tmp_path / "deep" / "a.safetensors", words, network)
    assert result.exit_code == 2, result.output
    assert complaint in result.output
    assert result.output.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_destination_is_a_safetensors_file(runs: Path, tmp_path: Path):
    assert "is called something.safetensors" in directions(runs, tmp_path / "a.png").output
    (tmp_path / "d.safetensors").mkdir()
    assert "this is a directory" in directions(runs, tmp_path / "d.safetensors").output
    same = directions(runs, tmp_path / "a.safetensors", f"--figure={tmp_path}/a.safetensors")
    assert "two files are to have this name" in same.output
    (tmp_path / "file").write_text("")
    assert "file is a file; choose another" in directions(runs, tmp_path / "file" / "a.safetensors").output


def test_generate_tells_of_files_that_were_made_for_another_model(runs: Path, tmp_path: Path):
    path = save_directions(tmp_path / "a.safetensors", replace(sefa(tiny_model(), 3), network="another"))
    result = generated(runs, tmp_path / "out", f"--seeds=3 --direction={path}:0:1 --direction={path}:1:1")
    assert result.exit_code == 0
    assert result.stderr == f"{path} was made for another; in small it may do something else, or nothing\n"
