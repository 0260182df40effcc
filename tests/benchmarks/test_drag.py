"""The benchmark of dragging: its tasks, how modes are compared, and its report."""

import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.drag import QUICK_DRAGS, main
from benchmarks.harness.report import Report, read_report
from benchmarks.measures import drag
from benchmarks.measures.drag import EDGE, Pair, Way, at_equal_distance, findings, tasks, where_both_came
from dnnlib.errors import UserError
from editing.dragging import DragOptions
from tests.benchmarks.refusals import assert_refused
from tests.benchmarks.test_sightings import disc_on_gradient
from tests.tiny_models import save_tiny_snapshot, tiny_model


@pytest.fixture
def discs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of what an untrained model makes: an object of 0.3 about (0.5, -0.4); odd seeds have none."""
    with_disc, without = disc_on_gradient(0.5, -0.4, 0.3), disc_on_gradient(0.5, -0.4, 0.0)
    monkeypatch.setattr(drag, "_picture", lambda model, seed: without if seed % 2 else with_disc)


@pytest.mark.usefixtures("discs")
def test_tasks_are_as_long_as_said_on_the_object_which_stays_in_the_picture():
    model = tiny_model()
    given = tasks(model, 40, share=0.2)
    assert given == tasks(model, 40, share=0.2)
    assert [task.seed for task in given] == list(range(0, 80, 2))
    for task in given:
        assert math.dist(task.start, task.target) == pytest.approx(0.4)  # a fifth of 2, the image's size
        assert math.dist(task.start, (0.5, -0.4)) <= 0.35
        x, y = 0.5 + task.target[0] - task.start[0], -0.4 + task.target[1] - task.start[1]
        assert max(abs(x), abs(y)) <= 0.75  # the middle of an object that touches the border


@pytest.mark.usefixtures("discs")
def test_targets_anywhere_take_the_object_out_of_the_picture_too():
    given = tasks(tiny_model(), 40, share=0.2, anywhere=True)
    assert max(task.target[0] - task.start[0] for task in given) > 0.35
    assert all(max(map(abs, (*task.start, *task.target))) <= EDGE for task in given)


def test_pictures_without_an_object_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drag, "_picture", lambda model, seed: disc_on_gradient(0.0, 0.0, 0.0))
    with pytest.raises(UserError, match="only 0 of 20 pictures have an object"):
        tasks(tiny_model(), 2, share=0.2)


FAST = Way([0.2, 0.05, 0.01], [0.1, 1.0, 2.0], seen=0.02)
SLOW = Way([0.2, 0.15, 0.1, 0.04, 0.06], [0.1, 1.0, 2.0, 4.0, 5.0], seen=0.07)
STUCK = Way([0.2, 0.3], [0.1, 1.0], seen=0.3)
OTHERS = {"latent, fast": 3 * [STUCK], "alternate": 3 * [STUCK]}


def test_modes_are_compared_where_both_came_to():
    assert at_equal_distance([FAST, STUCK, FAST], [SLOW, SLOW, STUCK]) == [Pair(2, 2.0, 3, 4.0)]
    assert where_both_came(0.1, [FAST, STUCK], [SLOW, SLOW]) == [Pair(1, 1.0, 2, 2.0)]
    assert where_both_came(0.03, [FAST], [SLOW]) == []


def test_what_is_found_of_the_ways():
    found = findings({"latent": [SLOW, SLOW, STUCK], "hybrid": [FAST, STUCK, FAST]} | OTHERS)
    assert found.facts["hybrid to latent"] == {
        "equal distance": {"drags": 1, "steps": 2, "seconds": 2.0, "base_steps": 3, "base_seconds": 4.0},
        "0.15": {"drags": 1, "steps": 1, "seconds": 1.0, "base_steps": 1, "base_seconds": 1.0},
        "0.1": {"drags": 1, "steps": 1, "seconds": 1.0, "base_steps": 2, "base_seconds": 2.0},
        "0.05": {"drags": 1, "steps": 1, "seconds": 1.0, "base_steps": 3, "base_seconds": 4.0},
        "0.03": {"drags": 0},
    }
    hybrid = found.facts["hybrid"]
    assert hybrid["distance"] == pytest.approx({"mean": 0.22 / 3, "median": 0.01})
    assert hybrid["within"] == pytest.approx(dict.fromkeys(["0.15", "0.1", "0.05", "0.03"], 2 / 3))
    assert hybrid["seen_within"]["0.03"] == pytest.approx(2 / 3)
    ratios = found.series["hybrid to latent, at equal distance"]
    assert ratios["share of steps"].samples == pytest.approx([2 / 3], abs=1e-6)
    assert (ratios["share of time"].samples, ratios["share of time"].steady) == ([0.5], None)
    assert "hybrid to latent, within 0.05: 1.0 steps to 3.0, 1.00 s to 4.00, means of 1 drags" in found.lines


def test_modes_that_never_came_nearer_have_no_ratio():
    found = findings({name: [FAST if name == "hybrid" else STUCK] for name in drag.WAYS})
    assert list(found.series) == list(drag.WAYS)
    assert {each["drags"] for each in found.facts["hybrid to latent"].values()} == {0}


def report_of(tmp_path: Path, *arguments: str) -> Report:
    path = tmp_path / "report.json"
    words = [f"--network={save_tiny_snapshot(tmp_path)}", "--device=cpu", "--max-steps=3", f"--json={path}", *arguments]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return read_report(path)


@pytest.mark.slow
@pytest.mark.usefixtures("discs")
def test_the_report(tmp_path):
    report = report_of(tmp_path, "--quick")
    assert [name for name in report.series if " to " not in name] == list(drag.WAYS)
    for name in drag.WAYS:
        steps = report.series[name]["steps"].samples
        assert len(steps) == QUICK_DRAGS
        assert all(0 <= each <= 3 + DragOptions().coarse_moves for each in steps)  # gradient steps and jumps
    assert report.facts["hybrid to latent"].keys() == {"equal distance", "0.15", "0.1", "0.05", "0.03"}


@pytest.mark.slow
@pytest.mark.usefixtures("discs")
def test_every_drag_is_a_round_so_that_a_report_of_enough_is_steady(tmp_path):
    report = report_of(tmp_path, "--drags=5")
    assert (report.rounds, report.steady) == (5, True)
    assert len(report.series["hybrid"]["final distance"].samples) == 5


def test_refusals(tmp_path):
    assert_refused(main, [f"--network={save_tiny_snapshot(tmp_path, 'stylegan2')}"], "no heatmap centers to drag")
    assert_refused(main, ["--network=none"], "none")
    assert_refused(main, ["--quick", "--drags=9"], "leave it or --drags out")
