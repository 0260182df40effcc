"""`make demo` from end to end, shortened; in the time of a test it learns nothing, but everything is written."""

import json
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import demo
from experiments.showing import follow, started, verdict


@pytest.mark.slow
def test_demo_writes_every_result(tmp_path):
    result = CliRunner().invoke(demo.main, [f"--outdir={tmp_path}", "--kimg=0.064", "--images=128"])
    assert result.exit_code == 0, result.output
    written = {path.name for path in (tmp_path / "results").iterdir()}
    assert written == {
        "1-shipped-moves.png", "2-shipped-parts.png", "3-shipped-styles.png", "4-trained-beside-real.png",
        "5-trained-moves.png", "6-scores.png", "7-losses.png", "8-metrics.txt",
    }  # fmt: skip
    assert re.search(r"three times as long:\n.*--resume=\S+ --kimg=0\.192\n", result.output)
    table = Path(tmp_path / "results" / "8-metrics.txt").read_text()
    assert "di" in table
    assert "centroid_co_move: from_prior" in table


def test_a_failing_step_ends_the_demo_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "show_shipped", lambda results: None)
    (tmp_path / "runs").write_text("")  # where a folder is to be
    result = CliRunner().invoke(demo.main, [f"--outdir={tmp_path}", "--images=64"])
    assert result.exit_code == 2
    assert "train.py" in result.output.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("ratio", "words"),
    [(0.84, "0.84 +- 0.05 of the move they are told to make (1: all of it): they go"), (0.5, "stop short"),
     (0.1, "hardly listen"), (float("nan"), "No object stands out")],
)  # fmt: skip
def test_the_verdict_is_in_words(ratio, words):
    assert words in verdict({"from_centre": ratio, "from_centre_ci95": 0.05})


def test_what_could_not_be_measured_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "METRICS", ["centroid_co_move"])
    line = {"results": {"from_centre": None, "from_centre_ci95": None, "from_centre_no_object": 10}}
    (tmp_path / "metric-centroid_co_move.jsonl").write_text(json.dumps(line) + "\n")
    assert re.search(r"from_centre +nan\n", demo.metrics_table(tmp_path))
    assert "No object stands out" in verdict(demo.newest_results(tmp_path, "centroid_co_move"))


def test_fewer_pictures_than_its_metrics_take_are_refused_at_once(tmp_path):
    result = CliRunner().invoke(demo.main, [f"--outdir={tmp_path / 'new'}", "--images=63"])
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert "--images" in result.output


@pytest.mark.parametrize("terminal", [True, False])
def test_a_training_is_followed_by_its_log(tmp_path, capfd, monkeypatch, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    (tmp_path / "config.json").write_text('{"schedule": {"total_kimg": 2.5}}')
    script = (
        f"print('2026-01-01 00:00:00 starting at 0 kimg on cpu: {tmp_path}')\n"
        "print('2026-01-01 00:00:01 kimg      1.0  sec/kimg 5.00  G 1')\n"
        "print('2026-01-01 00:00:02 kimg      2.5  sec/kimg 5.00  G 1')\n"
        "raise SystemExit(3)"
    )
    with started([sys.executable, "-c", script]) as process:
        assert follow(process, 60) == 3
    out, err = capfd.readouterr()
    assert "starting at 0 kimg" in out
    assert ("sec/kimg" in out) == (not terminal)
    assert ("2.5 of 2.5 thousand images" in err) == terminal


def test_a_training_is_stopped_where_what_is_done_meanwhile_fails():
    words = [sys.executable, "-c", "import time; time.sleep(60)"]
    with pytest.raises(ValueError, match="meanwhile"), started(words) as process:
        raise ValueError("meanwhile")
    assert process.returncode != 0
