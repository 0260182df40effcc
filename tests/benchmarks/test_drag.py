"""The benchmark of dragging: its tasks, how modes are compared, and its report."""

import math

import pytest
from click.testing import CliRunner

from benchmarks import drag
from benchmarks.drag import EDGE, Way, compared, tasks
from benchmarks.harness.report import read_report
from tests.benchmarks.refusals import assert_refused
from tests.tiny_models import save_tiny_snapshot, tiny_model


def test_tasks_are_as_long_as_said_on_the_object_and_in_the_picture():
    model = tiny_model()
    given = tasks(model, 40, share=0.2, near=0.25)
    assert given == tasks(model, 40, share=0.2, near=0.25)
    for task in given:
        x, y = model.layout([task.seed]).centers[0][0, 0].clamp(-EDGE + 0.25, EDGE - 0.25).tolist()
        assert math.dist(task.start, task.target) == pytest.approx(0.4)  # a fifth of 2, the image's size
        assert math.dist(task.start, (x, y)) <= 0.25 + 1e-6
        assert max(map(abs, (*task.start, *task.target))) <= EDGE + 1e-6


def test_modes_are_compared_where_both_came_to():
    fast = Way([0.2, 0.05, 0.01], [0.0, 1.0, 2.0])
    slow = Way([0.2, 0.15, 0.1, 0.04, 0.06], [0.0, 1.0, 2.0, 3.0, 4.0])
    assert compared([fast], [slow]) == ([2], [2.0], [3], [3.0])
    stuck = Way([0.2, 0.3], [0.0, 1.0])
    assert compared([stuck], [slow]) == ([0], [0.0], [0], [0.0])


@pytest.mark.slow
def test_the_report(tmp_path):
    path = tmp_path / "report.json"
    network = f"--network={save_tiny_snapshot(tmp_path)}"
    result = CliRunner().invoke(drag.main, [network, "--device=cpu", "--quick", "--max-steps=3", f"--json={path}"])
    assert result.exit_code == 0, result.output
    report = read_report(path)
    assert list(report.series) == ["latent", "alternate", "hybrid"]
    for quantities in report.series.values():
        assert len(quantities["steps"].samples) == drag.QUICK_DRAGS
        assert all(0 <= each <= 3 + 3 for each in quantities["steps"].samples)  # gradient steps and jumps
    assert report.facts["hybrid to latent"].keys() == {"steps", "base_steps", "seconds", "base_seconds"}


def test_refusals(tmp_path):
    assert_refused(drag.main, [f"--network={save_tiny_snapshot(tmp_path, 'stylegan2')}"], "no heatmap centers to drag")
    assert_refused(drag.main, ["--network=none"], "none")
