"""experiments/moving.py: what it does with a picture whose object is known, and what it writes."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from dnnlib.errors import UserError
from experiments.moving import main
from experiments.studies import moving
from experiments.studies.moving import ROWS, Laboratory, Moved, Task, table
from tests.tiny_models import save_tiny_snapshot, tiny_model

SIDE = 16
ROWS_WITHOUT_SGF = [row for row in ROWS if not row.startswith("sgf")]  # which learns for long


def square(x: int, y: int = 6, background: float = 0.0) -> Tensor:
    """A picture [1, 3, 16, 16] with a white square of 4 pixels, its corner at (x, y)."""
    image = torch.full([1, 3, SIDE, SIDE], background)
    image[:, :, y : y + 4, x : x + 4] = 1.0
    return image


class Scene:
    """The mean of the picture beside a place."""

    names = ("x", "y", "red")
    network = SimpleNamespace(deviation=torch.tensor([1.0, 1.0, 0.5]))

    def __call__(self, images: Tensor) -> Tensor:
        return torch.stack([images.mean((1, 2, 3)) * 0 + 9, images.sum((1, 2, 3)), images.mean((1, 2, 3))], 1)


class Points:
    names = ("eye_x", "eye_y")

    def __call__(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))[:, :2]


@pytest.fixture(autouse=True)
def conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is learnt of toy scenes here."""
    known = {"scene": Scene(), "points": Points()}
    monkeypatch.setattr(moving, "scene_condition", lambda what, kind, device: known[what])


@pytest.fixture
def laboratory(monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    """Of a model whose pictures are the square in the middle, whatever the seed."""
    model = tiny_model()
    monkeypatch.setattr(model, "images", lambda seeds, **how: square(6).repeat(len(seeds), 1, 1, 1))
    return Laboratory(model, "faces", 20)


PIXEL = 2 / (SIDE - 1)  # positions of the corners' registration


def test_what_came_of_a_move_is_judged(laboratory: Laboratory):
    (x, y), way = laboratory.places(square(6))[0].tolist(), (3 * PIXEL, 0.0)
    tasks = [Task(0, (x, y), way), Task(1, (x, y), way)]
    found = laboratory.judged(tasks, Moved(torch.cat([square(9), square(6)]), [4, 8]))
    assert found["distance"] == pytest.approx((0 + 1.5 * PIXEL) / 2, abs=1e-6)
    assert found["near"] == 0.5
    assert found["outside"] == 0
    assert found["attributes"] == 0
    assert found["steps"] == 6
    found = laboratory.judged(tasks[:1], Moved(square(9, background=0.1), [1]))
    assert found["outside"] == pytest.approx(0.1, abs=1e-6)
    assert found["attributes"] == pytest.approx(0.1 * (SIDE**2 - 16) / SIDE**2 / 0.5, rel=1e-4)


def test_an_object_that_is_gone_is_a_side_away(laboratory: Laboratory):
    task = Task(0, (0.0, 0.0), (0.1, 0.0))
    assert laboratory.judged([task], Moved(torch.zeros(1, 3, SIDE, SIDE), [1]))["distance"] == 1.0


def test_tasks_are_the_same_on_every_call_and_as_long_as_asked_for(laboratory: Laboratory):
    tasks = laboratory.tasks(5, 0.2, seed=3)
    assert tasks == laboratory.tasks(5, 0.2, seed=3)
    assert tasks != laboratory.tasks(5, 0.2, seed=4)
    for task in tasks:
        assert torch.tensor(task.way).norm().item() == pytest.approx(0.4)
        assert max(abs(s + w) for s, w in zip(task.start, task.way, strict=True)) <= moving.EDGE
    with pytest.raises(UserError, match="fewer than 2 of 40 objects"):
        laboratory.tasks(2, 0.9, seed=0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "MAX_STEPS", 2)
    monkeypatch.setattr(moving, "EDGE", 5.0)


def run(network: Path, outdir: Path, *words: str) -> str:
    fixed = [f"--network={network}", f"--outdir={outdir}", "--device=cpu", "--samples=30", "--starts=2", "--seeds=0,1"]
    result = CliRunner().invoke(main, [*fixed, *words])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("quick")
def test_every_row_is_measured_with_every_seed_once(tmp_path: Path):
    network = save_tiny_snapshot(tmp_path)
    said = run(network, tmp_path / "out", f"--only={';'.join(ROWS_WITHOUT_SGF)}")
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert {row: list(runs) for row, runs in results.items()} == {row: ["0", "1"] for row in ROWS_WITHOUT_SGF}
    assert results["nothing"]["0"]["distance"] == pytest.approx(0.15, abs=1e-5)
    assert results["nothing"]["1"]["steps"] == 0
    assert 0 < results["heatmap moved"]["0"]["outside"] < 2
    assert said == (tmp_path / "out/table.md").read_text() == table(results)
    results["nothing"]["1"]["distance"] = 7.0  # what is there is not measured again
    (tmp_path / "out/results.json").write_text(json.dumps(results))
    run(network, tmp_path / "out", "--only=nothing")
    assert json.loads((tmp_path / "out/results.json").read_text()) == results
    run(network, tmp_path / "out", "--only=nothing", "--share=0.1")  # but what was asked for otherwise is
    again = json.loads((tmp_path / "out/results.json").read_text())["nothing"]["1"]
    assert again["distance"] == pytest.approx(0.1, abs=1e-5)


@pytest.mark.parametrize("words, complaint", [
    (["--only=c"], "--only 'c' is not in the list"),
    (["--seeds=x"], "'--seeds': 'x' is no list of numbers"),
    (["--network=gone"], "gone"),
])  # fmt: skip
def test_bad_requests_are_refused_in_one_line(tmp_path: Path, words: list[str], complaint: str):
    result = CliRunner().invoke(main, [f"--outdir={tmp_path / 'out'}", "--device=cpu", *words])
    assert result.exit_code == 2
    assert complaint in result.output
    assert not (tmp_path / "out").exists()


def test_a_model_without_heatmaps_is_refused(tmp_path: Path):
    network = save_tiny_snapshot(tmp_path, "stylegan2")
    result = CliRunner().invoke(main, [f"--network={network}", f"--outdir={tmp_path / 'out'}", "--device=cpu"])
    assert result.exit_code == 2
    assert "this model has no heatmaps to move objects by" in result.output
