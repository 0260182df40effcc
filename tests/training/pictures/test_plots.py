"""Plots of a run's own files."""

import json

import pytest
from PIL import Image

from training.pictures.plots import metric_over_time, plot_losses, plot_scores, read_lines


@pytest.fixture
def run(tmp_path):
    """A run directory with two ticks of statistics and one DI."""
    scores = {"scores/real": 1.0, "scores/fake": -1.0, "scores/real/min": -0.5, "scores/fake/max": 0.5}
    stats = [{"kimg": k, "loss/G": 1.0, "loss/D": 1.2, **scores} for k in (1.0, 2.0)]
    (tmp_path / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in stats))
    (tmp_path / "metric-di.jsonl").write_text(json.dumps({"kimg": 2.0, "results": {"di": -1.0}}) + "\n")
    return tmp_path


def test_each_plot_is_a_picture(run):
    plot_scores(run, run / "scores.png")
    plot_losses(run, run / "losses.png")
    for name in ("scores", "losses"):
        with Image.open(run / f"{name}.png") as picture:
            assert picture.width > 400
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 3


def test_a_run_without_files_plots_empty_axes(tmp_path):
    plot_scores(tmp_path, tmp_path / "scores.png")
    assert (tmp_path / "scores.png").stat().st_size > 0


def test_an_unfinished_last_line_is_left_out(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": 2')
    assert read_lines(tmp_path / "a.jsonl") == [{"a": 1}]
    assert read_lines(tmp_path / "missing.jsonl") == []


def test_metrics_are_plotted_in_the_order_of_training(tmp_path):
    lines = [{"kimg": kimg, "results": {"di": value}} for kimg, value in ((20, 1), (0, 2), (10, 3), (20, 4))]
    (tmp_path / "metric-di.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [line["results"]["di"] for line in metric_over_time(tmp_path, "di")] == [2, 3, 4]
