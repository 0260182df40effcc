"""`make demo` from end to end, shortened; in the time of a test it learns nothing, but everything is written."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import demo


@pytest.mark.slow
def test_demo_writes_every_result(tmp_path):
    result = CliRunner().invoke(demo.main, [f"--outdir={tmp_path}", "--kimg=0.064", "--images=128"])
    assert result.exit_code == 0, result.output
    written = {path.name for path in (tmp_path / "results").iterdir()}
    assert written == {
        "1-samples.png", "2-samples-with-heatmaps.png", "3-moving-centre.png", "4-scores.png", "5-losses.png",
        "6-metrics.txt",
    }
    assert "--resume=" in result.output  # the command that trains it further
    table = Path(tmp_path / "results" / "6-metrics.txt").read_text()
    assert "di" in table
    assert "centroid_co_move: from_prior" in table


def test_a_failing_step_ends_the_demo_in_one_line(tmp_path):
    (tmp_path / "in the way").write_text("")
    result = CliRunner().invoke(demo.main, [f"--outdir={tmp_path / 'in the way' / 'x'}", "--images=8"])
    assert result.exit_code == 2
    assert "dataset_tool.py" in result.output.strip().splitlines()[-1]
