"""Metrics of images at the snapshots of a training."""

import errno
import json

import numpy as np
import pytest
import requests
from click.testing import CliRunner

import train
from metrics import in_training, registry
from tests.metrics import ranks
from tests.training.data_samples import picture, write_zip
from tests.training.small import run_config
from torch_utils.launch import launch
from training.runs.checkpoint import checkpoint_path, latest_checkpoint


def call(data, outdir, *options):
    settings = ["--cfg=demo", "--method=stylegan2", "--kimg=0.016", "--batch=8", "--snap=1", "--device=cpu"]
    settings += ["--set", "schedule.kimg_per_tick=0.016", "--set", "data.workers=0"]
    return CliRunner().invoke(train.main, [f"--data={data}", f"--outdir={outdir}", *settings, *options])


def make_data(folder, side=16):
    return write_zip(folder / "noise.zip", {f"{number:02d}.png": picture(number, side) for number in range(12)})


def test_the_metrics_asked_for_are_measured_at_every_snapshot(tmp_path):
    result = call(make_data(tmp_path), tmp_path / "runs", "--metrics=rfd6_full,rkd6")
    assert result.exit_code == 0, result.output
    (run_dir,) = (tmp_path / "runs").iterdir()
    for name in ("rfd6_full", "rkd6"):
        lines = [json.loads(line) for line in (run_dir / f"metric-{name}.jsonl").read_text().splitlines()]
        assert [line["kimg"] for line in lines] == [0.016]
        assert lines[0]["results"][name] is not None
        assert lines[0]["num_images"] == 6


def test_missing_weights_are_found_before_the_training(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests, "get", refuse)
    result = call(make_data(tmp_path), tmp_path / "runs", "--metrics=fid50k_full")
    assert result.exit_code == 2
    assert result.output.splitlines()[-1].startswith("Error: cannot download weights-inception")
    assert not (tmp_path / "runs").exists()


def test_no_metric_ends_a_training(tmp_path, monkeypatch):
    def broken(name, context):
        if name == "rkd6":
            raise np.linalg.LinAlgError("SVD did not converge")
        return evaluate(name, context)

    evaluate = in_training.evaluate
    monkeypatch.setattr(in_training, "evaluate", broken)
    result = call(make_data(tmp_path), tmp_path / "runs", "--metrics=di,rkd6,rfd6_full")
    assert result.exit_code == 0, result.output
    (run_dir,) = (tmp_path / "runs").iterdir()
    log = (run_dir / "log.txt").read_text()
    assert "metric di is left out: noise: 12 images, too few; di and w compare 64 at a time; training goes on" in log
    assert "metric rkd6 is left out: LinAlgError('SVD did not converge'); training goes on" in log
    assert [path.name for path in run_dir.glob("metric-*")] == ["metric-rfd6_full.jsonl"]
    assert list(run_dir.glob("checkpoint-*"))


@pytest.mark.slow
def test_no_metric_that_one_of_two_processes_fails_at_ends_a_training(tmp_path):
    config = run_config(
        data={"path": str(make_data(tmp_path, 32)), "workers": 0},
        schedule={
            "batch_size": 8, "batch_gpu": 4, "total_kimg": 0.016, "kimg_per_tick": 0.008, "snapshot_ticks": 1,
            "metrics": ("broken5", "broken6", "broken7", "rfd6_full"), "trackers": (),
        },
    )  # fmt: skip
    launch(ranks.train_with_a_broken_metric, 2, "cpu", config, tmp_path)
    said = [line.partition(" metric ")[2] for line in (tmp_path / "log.txt").read_text().splitlines()]
    memory = "not enough memory; use smaller batches, networks or pictures"
    left_out = [
        "broken5 is left out: on rank 1: ZeroDivisionError('before'); training goes on",
        f"broken6 is left out: on rank 1: {memory}; training goes on",
        "broken7 is left out: on rank 1: ZeroDivisionError('after'); training goes on",
    ]
    assert [line for line in said if line] == left_out * 2
    lines = [json.loads(line) for line in (tmp_path / "metric-rfd6_full.jsonl").read_text().splitlines()]
    assert [(line["kimg"], line["procs"]) for line in lines] == [(0.008, 2), (0.016, 2)]
    assert latest_checkpoint(tmp_path) == checkpoint_path(tmp_path, 16)


def test_a_metric_that_cannot_be_written_does_not_end_a_training(tmp_path, monkeypatch):
    def full(path, text):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(registry, "append_line", full)
    result = call(make_data(tmp_path), tmp_path / "runs", "--metrics=rfd6_full")
    assert result.exit_code == 0, result.output
    assert "No space left on device; make room" in result.output
    assert "--no-save" not in result.output
