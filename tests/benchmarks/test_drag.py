"""The benchmark of dragging: its tasks, how modes are compared, and its report."""

import math

import pytest
from click.testing import CliRunner

from benchmarks import drag
from benchmarks.drag import EDGE, Way, compared, tasks
from benchmarks.harness.report import read_report
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


def test_modes_are_compared_where_both_came_to():
    fast = Way([0.2, 0.05, 0.01], [0.0, 1.0, 2.0])
    slow = Way([0.2, 0.15, 0.1, 0.04, 0.06], [0.0, 1.0, 2.0, 3.0, 4.0])
    assert compared([fast], [slow]) == ([2], [2.0], [3], [3.0])
    stuck = Way([0.2, 0.3], [0.0, 1.0])
    assert compared([stuck], [slow]) == ([0], [0.0], [0], [0.0])


@pytest.mark.slow
@pytest.mark.usefixtures("discs")
def test_the_report(tmp_path):
    path = tmp_path / "report.json"
    network = f"--network={save_tiny_snapshot(tmp_path)}"
    result = CliRunner().invoke(drag.main, [network, "--device=cpu", "--quick", "--max-steps=3", f"--json={path}"])
    assert result.exit_code == 0, result.output
    report = read_report(path)
    assert list(report.series) == ["latent", "alternate", "hybrid"]
    for quantities in report.series.values():
        assert len(quantities["steps"].samples) == drag.QUICK_DRAGS
        most = 3 + DragOptions().coarse_moves  # gradient steps and jumps
        assert all(0 <= each <= most for each in quantities["steps"].samples)
    assert report.facts["hybrid to latent"].keys() == {"steps", "base_steps", "seconds", "base_seconds"}


def test_refusals(tmp_path):
    assert_refused(drag.main, [f"--network={save_tiny_snapshot(tmp_path, 'stylegan2')}"], "no heatmap centers to drag")
    assert_refused(drag.main, ["--network=none"], "none")
