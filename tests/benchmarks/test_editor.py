"""The benchmarks of the editor: percentiles, reports of short runs, and refusals."""

import pytest
from click.testing import CliRunner

from benchmarks import editor, editor_memory
from benchmarks.editor import ANSWERED, MEDIAN, SAID, SLOWEST, percentile
from benchmarks.editor_process import served
from benchmarks.harness.report import read_report
from dnnlib.errors import UserError
from tests.editing.browser.visitor import MARKS
from tests.tiny_models import save_tiny_snapshot


@pytest.mark.parametrize("share, expected", [(0.0, 1), (0.5, 5), (0.95, 10), (0.9, 9), (1.0, 10)])
def test_percentiles_are_samples(share: float, expected: int):
    assert percentile([3, 1, 2, 10, 9, 8, 7, 6, 5, 4], share) == expected


def in_browser(function):
    for mark in MARKS:
        function = mark(function)
    return function


@in_browser
def test_the_report_of_the_page(tmp_path):
    path = tmp_path / "report.json"
    options = [f"--network={save_tiny_snapshot(tmp_path)}", "--quick", "--moves=20", f"--json={path}"]
    result = CliRunner().invoke(editor.main, options)
    assert result.exit_code == 0, result.output
    report = read_report(path)
    latency, starts = report.series["editor"], report.series["edit.py serve"]
    assert all(0 < a <= b for a, b in zip(latency[MEDIAN].samples, latency[SLOWEST].samples, strict=True))
    assert all(0 < a <= b for a, b in zip(starts[SAID].samples, starts[ANSWERED].samples, strict=True))
    assert 0 < report.facts["pictures_a_move"] <= 1
    assert report.machine.kind


@pytest.mark.slow
def test_the_report_of_memory(tmp_path):
    path = tmp_path / "report.json"
    options = [f"--network={save_tiny_snapshot(tmp_path)}", "--moves=60", f"--json={path}"]
    result = CliRunner().invoke(editor_memory.main, options)
    assert result.exit_code == 0, result.output
    facts = read_report(path).facts
    assert (len(facts["mib"]), facts["moves"]) == (editor_memory.PARTS, 61)
    assert all(each > 50 for each in facts["mib"])


@pytest.mark.slow
def test_a_session_of_memory_ends_in_time(tmp_path):
    path = tmp_path / "report.json"
    options = [f"--network={save_tiny_snapshot(tmp_path)}", "--per-second=20", "--minutes=0.05", f"--json={path}"]
    result = CliRunner().invoke(editor_memory.main, options)
    assert result.exit_code == 0, result.output
    facts = read_report(path).facts
    assert len(facts["mib"]) == editor_memory.PARTS
    assert 3 <= facts["seconds"] < 30
    assert facts["moves_a_second"] == pytest.approx(facts["moves"] / facts["seconds"], rel=0.2)
    assert facts["moves_a_second"] <= 20.5


@pytest.mark.slow
def test_what_the_server_complains_of_is_said():
    with pytest.raises(UserError, match="no such file"), served("none"):
        pass


def test_a_folder_that_is_no_page(tmp_path):
    with pytest.raises(UserError, match=r"no page that `edit\.py export` wrote"), editor.hosted(tmp_path):
        pass
