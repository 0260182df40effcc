"""The data benchmark: what it makes, that shares are of what they say, and the report."""

import itertools
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks.data import main
from benchmarks.harness.report import read_report
from benchmarks.harness.run import Run
from benchmarks.harness.series import Series
from benchmarks.measures import data
from tests.benchmarks.refusals import assert_refused
from tests.tiny_models import tiny_config
from training.config import DataConfig, HardwareConfig, ScheduleConfig
from training.data.dataset import ImageDataset

CPU = torch.device("cpu")


def small_data_config(path, workers=0):
    changes = {
        "data": DataConfig(path=str(path), workers=workers),
        "schedule": ScheduleConfig(batch_size=2, batch_gpu=2),
        "hardware": HardwareConfig(device="cpu"),
    }
    return tiny_config(resolution=32).model_copy(update=changes)


@pytest.fixture
def folder(tmp_path):
    return data.write_folder(tmp_path / "small", 40, 32)


def test_zip_and_folder_hold_the_same_textures(folder):
    archive = ImageDataset(data.write_zip(folder))
    both = zip((ImageDataset(folder)[i][0] for i in range(40)), (archive[i][0] for i in range(40)), strict=True)
    assert all(np.array_equal(a, b) for a, b in both)
    assert archive.image_shape == (3, 32, 32)


def test_textures_compress_as_badly_as_photographs(tmp_path):
    path = data.write_zip(data.write_folder(tmp_path / "large", 2, 256))
    with zipfile.ZipFile(path) as archive:
        sizes = [info.file_size for info in archive.infolist()]
    assert all(60_000 < size < 180_000 for size in sizes), sizes


@pytest.mark.parametrize("workers", [0, 1])
def test_reading_takes_time(folder, workers):
    timed = data.TimedReading(folder, [workers], 32)
    assert timed.count == 2
    assert 1e-5 < timed.seconds(data.part_name(workers)) < 10


def test_rates_of_zip_and_folder_are_paired(folder, monkeypatch):
    monkeypatch.setattr(data.TimedReading, "seconds", lambda self, part: 0.5 if self.path.suffix == ".zip" else 1.0)
    sets = SimpleNamespace(archive=lambda side: data.write_zip(folder), pictures=lambda side: folder)
    run = Run("data", CPU)
    series = data.reading(run, sets, [0, 1, 4], 40)
    assert {kind: {part: each.samples for part, each in parts.items()} for kind, parts in series.items()} == {
        "zip": dict.fromkeys(["a thread", "1 worker", "4 workers"], [64.0] * 5),
        "folder": dict.fromkeys(["a thread", "1 worker", "4 workers"], [32.0] * 5),
    }


def test_steps_are_timed_apart_from_waiting(monkeypatch):
    clock = itertools.accumulate([0, 1, 10, 0, 2, 20])  # before, images there, trained; twice
    monkeypatch.setattr(data.time, "perf_counter", lambda: next(clock))
    trained = []
    trainer = SimpleNamespace(step=lambda images, labels: trained.append(images), steps=5)
    timed = data.TimedSteps(trainer, iter([(7, 0), (8, 0)]), 2)
    assert timed.seconds(data.STEP) == 1.5 + 15
    assert (timed.waited, trained, trainer.steps) == ([1.5], [7, 8], 0)


def test_a_step_trains_on_the_images_given(folder):
    trainer = data.Trainer(small_data_config(folder))
    before = trainer.phases.state.networks.D.epilogue.out.weight.detach().clone()
    images = torch.full([2, 3, 32, 32], 255, dtype=torch.uint8)
    trainer.step(images, torch.zeros([2, 0]))
    assert torch.equal(trainer.phases.real_images, torch.ones([2, 3, 32, 32]))
    assert trainer.steps == 1
    assert not torch.equal(before, trainer.phases.state.networks.D.epilogue.out.weight)


class Slow:
    """A loader that takes longer over a batch than a step takes over it."""

    def __init__(self, *arguments, **options):
        self.batch = torch.zeros([2, 3, 32, 32], dtype=torch.uint8), torch.zeros([2, 0])

    def __next__(self):
        data.time.sleep(0.5)
        return self.batch

    def close(self):
        pass


class Clock:
    """Time passes only while somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_a_slow_loader_is_noticed_and_one_that_takes_no_time_is_not(folder, monkeypatch):
    monkeypatch.setattr(data, "time", clock := Clock())
    monkeypatch.setattr(data.Trainer, "step", lambda *_: clock.sleep(1.5))
    config, run = small_data_config(folder), Run("data", CPU, rounds=2, quick=True)
    series = data.waiting(run, config, 2, "demo")
    assert list(series) == ["demo", "demo without loader"]
    assert series["demo"][data.SHARE].range == (0, 0)
    monkeypatch.setattr(data, "batches", Slow)
    series |= data.waiting(run, config, 1, "slow")
    assert series["slow"][data.WAITED].median == 500
    assert series["slow"][data.SHARE].range == (0.25, 0.25)
    assert series["slow without loader"][data.SHARE].range == (0, 0)
    assert not series["slow"][data.SHARE].judged
    series["demo"] |= {data.SHARE: Series.of("of a step", [0.001, 0.0041], judged=False)}
    assert data.conclusions(series, ["demo", "slow"])[0] == (
        "demo: a step does not wait for images (at most 0.41% of it)"
    )
    assert "slow: a step WAITS for images" in data.conclusions(series, ["demo", "slow"])[1]


def test_report_and_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "SMALL_IMAGES", 40)
    monkeypatch.setattr(data, "configured", lambda setting, path, *_: small_data_config(path))
    file = tmp_path / "data.json"
    options = ["--device=cpu", "--images=16", "--workers=0", "--cfg=demo", "--steps=1", "--quick", f"--json={file}"]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    report = read_report(file)
    assert list(report.series) == ["zip", "folder", "demo", "demo without loader"]
    assert list(report.ratios) == ["zip to folder", "demo to demo without loader"]
    assert list(report.ratios["demo to demo without loader"]) == ["a step"]  # of waits that are next to 0 there is none
    assert "demo: a step " in result.output


def test_settings_are_those_of_the_configurations(folder):
    demo, paper = (data.configured(setting, folder, "spatialgan", None) for setting in data.SETTINGS)
    assert (demo.schedule.batch_size, demo.data.workers, demo.hardware.device) == (32, 0, "cpu")
    assert (paper.schedule.batch_size, paper.data.workers, paper.generator.img_resolution) == (4, 2, 256)


def test_data_sets_are_made_once_and_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "SMALL_IMAGES", 3)
    sets = data.DataSets(tmp_path, 2, Run("data", CPU).progress)
    archive = sets.archive(32)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["textures32", "textures32.zip"]
    written = archive.stat().st_mtime_ns
    assert sets.archive(32).stat().st_mtime_ns == written
    assert [len(list(sets.pictures(side).iterdir())) for side in (32, 256)] == [3, 2]


@pytest.mark.parametrize("arguments, text", [
    (["--workers=many"], "'many' is no list of numbers"),
    (["--workers=0,1000"], "--workers '0,1000': at most 256"),
    (["--cfg=dmo"], "--cfg 'dmo' is no setting to wait in; did you mean 'demo'"),
    (["--cfg=demo,"], "--cfg '' is no setting to wait in"),
    (["--method=spatialgun"], "did you mean 'spatialgan'"),
    (["--images=0"], "out of range"),
    (["--steps=0"], "out of range"),
    (["--train-workers=-1"], "out of range"),
])
def test_refusals(arguments, text):
    assert_refused(main, arguments, text)
