"""Metrics of images at the snapshots of a training."""

import json

import requests
from click.testing import CliRunner

import train
from tests.training.data_samples import picture, write_zip


def call(data, outdir, *options):
    settings = ["--cfg=demo", "--method=stylegan2", "--kimg=0.016", "--batch=8", "--snap=1", "--device=cpu"]
    settings += ["--set", "schedule.kimg_per_tick=0.016", "--set", "data.workers=0"]
    return CliRunner().invoke(train.main, [f"--data={data}", f"--outdir={outdir}", *settings, *options])


def make_data(folder):
    return write_zip(folder / "noise.zip", {f"{number:02d}.png": picture(number, 16) for number in range(12)})


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
