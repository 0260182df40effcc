"""generate.py --interpolate, --spread and --strength: what films show, and the one line said about bad input."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image, ImageSequence

from generate import main
from tests.tiny_models import save_tiny_snapshot
from training.layouts.files import load_layout, save_layout
from training.layouts.keyframes import Keyframes
from training.pictures import grids
from training.sampling import Model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    save_tiny_snapshot(folder)
    return folder


@pytest.fixture(scope="module")
def model(run: Path) -> Model:
    return Model.load(run, "cpu")


class Tool:
    def __init__(self, run: Path, folder: Path):
        self.run, self.out = run, folder / "out"

    def __call__(self, options: str, status: int = 0, network: Path | None = None, **paths: Path) -> str:
        words = [word.format(**paths) for word in options.split()]
        fixed = ["--network", str(network or self.run), "--outdir", str(self.out), "--device", "cpu"]
        result = CliRunner().invoke(main, [*fixed, *words])
        assert result.exit_code == status, result.output
        return result.stderr if status else result.stdout

    def refuses(self, options: str, **given: Path) -> str:
        said = self(options, status=2, **given)
        assert said.startswith("Error: ")
        assert said.count("\n") == 1
        assert not self.out.exists()
        return said

    def film(self, options: str, path: Path | None = None, **given: Path) -> np.ndarray:
        """[frames, H, W, 3]"""
        self(options, **given, **({"path": path} if path else {}))
        with Image.open(path or self.out / "film.gif") as film:
            return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)])


@pytest.fixture
def tool(run: Path, tmp_path: Path) -> Tool:
    return Tool(run, tmp_path)


def assert_shows(frame: np.ndarray, image: torch.Tensor) -> None:
    """A frame of 256 pixels a side is this image, but for the 256 colors of a GIF."""
    expected = grids.to_cells(image, 256)[0].astype(float)
    assert np.abs(frame - expected).mean() < 4


def test_seeds_are_keyframes(tool: Tool, model: Model):
    frames = tool.film("--seeds 1,5,9 --interpolate 4 --batch 3")
    assert frames.shape == (9, 256, 256, 3)
    keys = Keyframes(model.styles([1, 5, 9]), model.layout([1, 5, 9]))
    for number in (0, 4, 6, 8):
        ws, layout = keys.at([number / 4])
        assert_shows(frames[number], model.images(ws=ws, layout=layout))
    for number, seed in ((0, 1), (4, 5), (8, 9)):
        assert_shows(frames[number], model.images([seed]))
    assert np.abs(frames[0] - frames[4].astype(float)).mean() > 10


def test_layouts_are_keyframes_of_one_seed(tool: Tool, model: Model, tmp_path: Path):
    start = model.layout([3])
    x, y = start.centers[0][0, 0].tolist()
    for name, place in {"a": -0.5, "b": 0.5}.items():
        save_layout(tmp_path / f"{name}.json", start.moved(0, 0, place - x, -y))
    words = "--seeds 3 --layout {a} --layout {b} --interpolate 2 --save-layout {kept}"
    frames = tool.film(words, a=tmp_path / "a.json", b=tmp_path / "b.json", kept=tmp_path / "kept.json")
    assert len(frames) == 3
    assert_shows(frames[1], model.images([3], layout=start.moved(0, 0, -x, -y)))
    kept = load_layout(tmp_path / "kept.json")
    assert kept.centers[0][:, 0, 0].tolist() == pytest.approx([-0.5, 0.5])
    again = Tool(tool.run, tmp_path / "again").film("--seeds 3 --layout {f} --interpolate 2", f=tmp_path / "kept.json")
    assert np.array_equal(again, frames)


def test_latents_are_keyframes_under_one_layout(tool: Tool, model: Model, tmp_path: Path):
    np.savez(tmp_path / "w.npz", w=model.styles([4, 6]).numpy())
    save_layout(tmp_path / "one.json", model.layout([2]))
    words = "--latents {w} --layout {one} --interpolate 1"
    frames = tool.film(words, w=tmp_path / "w.npz", one=tmp_path / "one.json")
    assert_shows(frames[1], model.images(ws=model.styles([6]), layout=model.layout([2])))


def test_a_film_that_returns_to_its_first_seed(tool: Tool):
    frames = tool.film("--seeds 1,5,1 --interpolate 3").astype(float)
    assert np.abs(frames[0] - frames[-1]).mean() < 1


def test_a_film_beside_its_heatmaps_goes_where_video_says(tool: Tool, tmp_path: Path):
    path = tmp_path / "new" / "a.gif"
    frames = tool.film("--seeds 1,5 --interpolate 2 --show-heatmaps --video {path}", path)
    assert frames.shape == (3, 128, 5 * 128 + 4 * grids.GAP, 3)


def test_a_model_without_layouts_makes_films_too(tool: Tool, tmp_path: Path):
    save_tiny_snapshot(tmp_path, "stylegan2")
    frames = tool.film("--seeds 1,5 --interpolate 1", network=tmp_path)
    assert_shows(frames[1], Model.load(tmp_path, "cpu").images([5]))


# ---- spreads and strengths


def pictures(tool: Tool, options: str, **given: Path) -> dict[str, np.ndarray]:
    tool(options, **given)
    return {path.relative_to(tool.out).as_posix(): np.asarray(Image.open(path)) for path in tool.out.rglob("*.png")}


def test_spread_and_strength_of_objects(tool: Tool, tmp_path: Path):
    scene = save_tiny_snapshot(tmp_path, "spatialgan-indoor")
    model = Model.load(scene, "cpu")
    made = pictures(tool, "--seeds 3 --spread 0:1=0.4,2=0.05 --strength 0=0.5 --save-layout {f}",
                    network=tmp_path, f=tmp_path / "used.json")  # fmt: skip
    layout = model.layout([3]).with_spread(0, 1, 0.4).with_spread(0, 2, 0.05).with_strength(0, 0, 0.5)
    expected = grids.to_pixels(model.images([3], layout=layout))[0]
    assert np.abs(made["seed0003.png"].astype(int) - expected).max() <= 1
    used = load_layout(tmp_path / "used.json")
    assert used.spreads[0][0, 1:].tolist() == pytest.approx([0.4, 0.05])
    assert used.strengths[0][0, 0] == 0.5


def test_an_object_is_removed_gradually(tool: Tool, model: Model, tmp_path: Path):
    path = tmp_path / "gone.gif"
    frames = tool.film("--seeds 3,4 --strength 0=1:0 --frames 3 --video {path}", path)
    assert len(frames) == 3
    strip = np.asarray(Image.open(tool.out / "strips" / "seed0003.png"))
    layout = model.layout([3]).repeat(3).with_strength(0, 0, torch.tensor([1, 0.5, 0]))
    expected = grids.moving_strip(model.images([3] * 3, layout=layout), layout)
    assert np.abs(strip.astype(int) - expected).max() <= 1


def test_a_center_moves_while_its_spread_grows(tool: Tool, model: Model):
    made = pictures(tool, "--seeds 3 --centers 0,0 --move 0.4,0 --spread 1:1=0.2:0.8 --frames 2")
    x, y = model.layout([3]).centers[0][0, 0].tolist()
    layout = model.layout([3]).moved(0, 0, -x, -y).repeat(2).moved(0, 0, torch.tensor([0, 0.4]), 0.0)
    layout = layout.with_spread(1, 1, torch.tensor([0.2, 0.8]))
    expected = grids.moving_strip(model.images([3] * 2, layout=layout), layout)
    assert np.abs(made["strips/seed0003.png"].astype(int) - expected).max() <= 1


def test_what_changes_does_so_from_a_films_beginning_to_its_end(tool: Tool, model: Model):
    frames = tool.film("--seeds 1,5,9 --interpolate 1 --strength 0=1:0")
    assert_shows(frames[1], model.images([5], layout=model.layout([5]).with_strength(0, 0, 0.5)))
    assert_shows(frames[2], model.images([9], layout=model.layout([9]).with_strength(0, 0, 0.0)))


# ---- bad input


@pytest.mark.parametrize(
    "options, complaint",
    [
        ("--seeds 1 --interpolate 5", "--interpolate needs two keyframes or more"),
        ("--seeds 1,2 --interpolate 0", "0 is out of range"),
        ("--seeds 1,2 --interpolate 5 --move 0.1,0", "--move and --interpolate make two films"),
        ("--seeds 1,2 --interpolate 5 --grid 2x1", "--grid and --interpolate cannot be combined"),
        ("--seeds 1,2 --interpolate 5 --frames 3", "--interpolate has a number of its own"),
        ("--seeds 1,2 --interpolate 5 --video a.avi", "videos are .gif or .mp4 files"),
        ("--seeds 0-99 --interpolate 1000", "a film of 6,488 million pixels is too large; choose a smaller --interpol"),
        ("--seeds 1 --grid 1x1 --strength 0=1:0", "--grid and a range of spreads or strengths cannot be combined"),
        ("--seeds 1 --strength 0", "--strength '0' is not of the form object=value or object=from:to"),
        ("--seeds 1 --strength 0=1:0:1", "is not of the form"),
        ("--seeds 1 --strength 0=", "is not of the form"),
        ("--seeds 1 --strength 0=1.5", "--strength 0=1.5: values must be in [0, 1]"),
        ("--seeds 1 --strength 0=0:-1", "--strength 0=0:-1: values must be in [0, 1]"),
        ("--seeds 1 --strength 0=nan", "must be finite numbers"),
        ("--seeds 1 --strength 0=x", "must be 1 comma-separated number"),
        ("--seeds 1 --strength 5=0", "no centre 0:5"),
        ("--seeds 1 --spread 3:0=0.1", "no centre 3:0"),
        ("--seeds 1 --spread 0=0", "--spread 0=0: values must be in [0.0001, 100]"),
        ("--seeds 1 --spread 99999999999=1", "--spread: 99999999999 is too large"),
        ("--seeds 1,2,3 --layout {two} --interpolate 3", "holds 2 layouts for 3 pictures"),
    ],
)
def test_bad_input(tool: Tool, model: Model, tmp_path: Path, options: str, complaint: str):
    save_layout(tmp_path / "two.json", model.layout([0, 1]))
    assert complaint in tool.refuses(options, two=tmp_path / "two.json")


def test_models_that_take_no_layout_say_so(tool: Tool, tmp_path: Path):
    save_tiny_snapshot(tmp_path, "stylegan2")
    assert "--strength: the model" in tool.refuses("--seeds 1 --strength 0=0", network=tmp_path)
    assert "takes no layout" in tool.refuses("--seeds 1,2 --interpolate 3 --show-heatmaps", network=tmp_path)


def test_a_folder_where_the_film_would_go(tool: Tool, run: Path, tmp_path: Path):
    (tmp_path / "a.gif").mkdir()
    assert "this is a directory" in tool.refuses("--seeds 1,2 --interpolate 2 --video {f}", f=tmp_path / "a.gif")
