"""What a run says: the bar, log.txt, stats.jsonl, TensorBoard, the summary; and that no log stops a run."""

import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG

from tests.training.data_samples import picture
from torch_utils.stats import ScalarSummary
from training.runs import log as run_log
from training.runs.log import RunLog


def summary(mean: float, low: float = 0.0, high: float = 0.0) -> ScalarSummary:
    return ScalarSummary(mean, 0.5, low, high, 8)


REPORT = {
    "loss/G": summary(1.25),
    "loss/D": summary(1.5),
    "scores/real": summary(0.5, low=-1.0, high=2.0),
    "scores/fake": summary(-0.5, low=-2.0, high=1.5),
    "augment/p": summary(0.25),
}


def stats(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "stats.jsonl").read_text().splitlines()]


def board(run_dir: Path) -> EventAccumulator:
    return EventAccumulator(str(run_dir)).Reload()


@pytest.fixture
def terminal(monkeypatch):
    """Screen output goes to a terminal, as far as anybody can tell."""
    monkeypatch.setattr(run_log, "_has_terminal", lambda: True)


def test_without_a_terminal_there_is_a_line_a_tick_and_no_bar(tmp_path, capfd):
    with RunLog(tmp_path, 20_000, 0) as log:
        for images in (4000, 8000):
            log.progress(images)
            log.tick(images, 12.5, REPORT)
    said = capfd.readouterr().err
    assert "\r" not in said
    assert [line.split("kimg")[1].split()[0] for line in said.splitlines()] == ["4.0", "8.0"]


def test_the_first_step_gives_an_estimate(tmp_path):
    with RunLog(tmp_path, 64_000, 0) as log:
        log.first_step(64, 3.0)
    assert "first step: 3.0 s; at this pace 49 min 57 s for the rest" in (tmp_path / "log.txt").read_text()


def test_a_tick_is_written_everywhere(tmp_path, capfd, terminal):
    with RunLog(tmp_path, 20_000, 0) as log:
        log.progress(4000)
        log.tick(4000, 12.5, REPORT)
    shown = "sec/kimg 12.50  p 0.250  DI -2.50  G 1.250  D 1.500"
    assert shown in (tmp_path / "log.txt").read_text()
    bar = capfd.readouterr().err
    assert "4.00/20.0 kimg" in bar
    for part in ("sec/kimg=12.50", "p=0.250", "DI=-2.50", "G=1.250", "D=1.500"):
        assert part in bar
    (line,) = stats(tmp_path)
    assert (line["kimg"], line["loss/G"], line["augment/p"], line["scores/di"]) == (4.0, 1.25, 0.25, -2.5)
    assert (line["scores/real/min"], line["scores/fake/max"]) == (-1.0, 1.5)
    scalars = board(tmp_path)
    assert [(event.step, event.value) for event in scalars.Scalars("scores/di")] == [(4000, -2.5)]
    assert {"scores/real/min", "scores/fake/max", "loss/D", "speed/sec_per_kimg"} <= set(scalars.Tags()["scalars"])


def test_score_curves_share_a_chart_in_tensorboard(tmp_path):
    with RunLog(tmp_path, 1000, 0):
        pass
    (layout,) = board(tmp_path).Tensors(CONFIG_SUMMARY_TAG)
    for name in (b"scores/real/min", b"scores/fake/max"):
        assert name in layout.tensor_proto.string_val[0]


def test_pictures_go_to_tensorboard_by_name_and_reduced(tmp_path):
    for name, side in (("fakes000004.png", 2048), ("heatmaps000004.png", 64)):
        picture(0, side).save(tmp_path / name)
    with RunLog(tmp_path, 20_000, 0) as log:
        log.pictures(4000, [tmp_path / "fakes000004.png", tmp_path / "heatmaps000004.png"])
    shown = board(tmp_path)
    assert shown.Tags()["images"] == ["pictures/fakes", "pictures/heatmaps"]
    (fakes,), (heatmaps,) = shown.Images("pictures/fakes"), shown.Images("pictures/heatmaps")
    assert (fakes.step, fakes.width, heatmaps.width) == (4000, 1024, 64)
    with Image.open(tmp_path / "fakes000004.png") as whole:
        assert whole.width == 2048


def test_without_augmentation_and_scores_nothing_is_made_up(tmp_path):
    with RunLog(tmp_path, 1000, 0) as log:
        log.tick(500, 1.0, {"loss/G": summary(1.0)})
    assert not {"scores/di", "augment/p"} & stats(tmp_path)[0].keys()
    assert "DI" not in (tmp_path / "log.txt").read_text()


def test_stats_are_strict_json(tmp_path):
    with RunLog(tmp_path, 1000, 0) as log:
        log.tick(500, 1.0, {"loss/G": summary(float("nan"))})
    assert "NaN" not in (tmp_path / "stats.jsonl").read_text()
    assert stats(tmp_path)[0]["loss/G"] is None


def test_a_run_that_goes_on_forgets_the_steps_that_were_lost(tmp_path):
    with RunLog(tmp_path, 20_000, 0) as log:
        for images in (1000, 2000, 3000):
            log.tick(images, 1.0, REPORT)
    kept = (tmp_path / "stats.jsonl").read_text().splitlines(keepends=True)[:2]
    with open(tmp_path / "stats.jsonl", "a") as file:
        file.write('{"kimg": 4.0, "loss')  # cut off by a crash
    with RunLog(tmp_path, 20_000, 2000) as log:
        assert (tmp_path / "stats.jsonl").read_text() == "".join(kept)
        log.tick(3000, 1.0, REPORT)
    assert [line["kimg"] for line in stats(tmp_path)] == [1.0, 2.0, 3.0]


def test_times_go_by_part_and_across_sessions(tmp_path, monkeypatch):
    clock = iter([10.0, 14.0, 20.0, 21.0])
    monkeypatch.setattr(run_log.time, "perf_counter", lambda: next(clock))
    with RunLog(tmp_path, 20_000, 1000, seconds={"training": 100.0}) as log:
        log.tick(3000, 50.0, REPORT)  # two kimg
        with log.timed("metrics"):
            pass
        with log.timed("snapshots"):
            pass
        log.tick(3000, 0.0, REPORT)
    assert log.seconds == {"training": 200.0, "metrics": 4.0, "snapshots": 1.0}
    assert stats(tmp_path)[-1]["seconds/metrics"] == 4.0


def test_the_summary_says_how_far_how_long_how_good_and_where(tmp_path):
    with RunLog(tmp_path, 2000, 0, seconds={"training": 7200.0, "metrics": 600.0, "snapshots": 200.0}) as log:
        log.metric(1000, "di", {"di": -1.5, "di_se": 0.1})
        log.metric(2000, "di", {"di": -0.25, "di_se": 0.1})
        log.finish(2000, best="di -0.25 at 2 kimg")
    text = (tmp_path / "log.txt").read_text()
    for part in (
        "finished at 2 of 2 kimg after 2 h 13 min",
        "training 90.0% (2 h 0 min), metrics 7.5% (10 min 0 s), snapshots 2.5% (3 min 20 s)",
        "last metrics: di -0.25 (2 kimg)",
        "best: di -0.25 at 2 kimg",
        f"tensorboard --logdir={tmp_path}",
    ):
        assert part in text, part
    assert log.summary(1000)[0].startswith("stopped at 1 of 2 kimg")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.4, "59.4 s"), (60, "1 min 0 s"), (3599.7, "1 h 0 min"), (90_000, "1 d 1 h")],
)
def test_durations(seconds, text):
    assert run_log._duration(seconds) == text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_is_said_once_and_stops_nothing(tmp_path, capfd):
    (tmp_path / "log.txt").symlink_to("/dev/full")
    with RunLog(tmp_path, 20_000, 0) as log:
        (tmp_path / "stats.jsonl").symlink_to("/dev/full")
        log.tick(1000, 1.0, REPORT)
        log.tick(2000, 1.0, REPORT)
        (tmp_path / "stats.jsonl").unlink()
        log.tick(3000, 1.0, REPORT)
    said = capfd.readouterr().err
    assert said.count("No space left on device); the run goes on without them") == 1
    assert "Traceback" not in said
    assert [line["kimg"] for line in stats(tmp_path)] == [3.0]


def test_handlers_go_with_the_log(tmp_path):
    before = list(logging.getLogger("steergan").handlers)
    with RunLog(tmp_path, 1000, 0) as log:
        log.say("hello")
    assert logging.getLogger("steergan").handlers == before
    assert "hello" in (tmp_path / "log.txt").read_text()
    assert np.isfinite(log.seconds["training"])


def test_a_directory_whose_name_is_not_utf_8(tmp_path, capsys, monkeypatch):
    # pytest cannot hand such names from one process to another
    monkeypatch.setattr(logging.getLogger("steergan"), "propagate", False)
    run_dir = tmp_path / os.fsdecode(b"caf\xe9")
    run_dir.mkdir()
    with RunLog(run_dir, 20_000, 0) as log:
        log.tick(4000, 12.5, REPORT)
    assert len(stats(run_dir)) == 1
    assert "cannot write logs to" in (run_dir / "log.txt").read_text(errors="surrogateescape")
    capsys.readouterr()
