"""The data benchmark: what it makes, that shares are of what they say, and the report's form."""

import itertools
import json
import zipfile

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks import data
from tests.tiny_models import tiny_config
from training.config import DataConfig, HardwareConfig, ScheduleConfig
from training.data.dataset import ImageDataset


def small_config(path, workers=0):
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
def test_reading_speed_is_a_number_of_images_a_second(folder, workers):
    assert 10 < data.read_speed(folder, workers, 32) < 1e6


def test_speed_per_worker(folder, monkeypatch):
    monkeypatch.setattr(data, "read_speed", lambda path, workers, images: 100.0)
    report = data.reading(folder, folder, [0, 1, 4], 32)
    assert {count: speed["per_worker"] for count, speed in report["zip"].items()} == {"0": 100, "1": 100, "4": 25}


def test_steps_are_timed_apart_from_waiting(monkeypatch):
    clock = itertools.accumulate([0, 1, 10, 0, 2, 20])  # before, images there, trained; twice
    monkeypatch.setattr(data.time, "perf_counter", lambda: next(clock))
    trained = []
    waited, spent = data.time_steps(lambda images, labels: trained.append(images), iter([(7, 0), (8, 0)]), 2)
    assert (waited, spent, trained) == ([1, 2], [10, 20], [7, 8])


def test_a_step_trains_on_the_images_given(folder):
    trainer = data.Trainer(small_config(folder))
    before = trainer.bench.state.networks.D.epilogue.out.weight.detach().clone()
    images = torch.full([2, 3, 32, 32], 255, dtype=torch.uint8)
    trainer.step(images, torch.zeros([2, 0]))
    assert torch.equal(trainer.bench.real_images, torch.ones([2, 3, 32, 32]))
    assert trainer.steps == 1
    assert not torch.equal(before, trainer.bench.state.networks.D.epilogue.out.weight)


class Slow:
    """A loader that takes longer over a batch than a step takes over it."""

    def __init__(self, *arguments, **options):
        self.batch = torch.zeros([2, 3, 32, 32], dtype=torch.uint8), torch.zeros([2, 0])

    def __next__(self):
        data.time.sleep(0.5)
        return self.batch

    def close(self):
        pass


def test_a_slow_loader_is_noticed_and_ours_is_not_one(folder, monkeypatch):
    config = small_config(folder)
    ours = data.waiting(config, 8)
    assert ours["steps"] == 8
    assert ours["share"] < 0.1
    monkeypatch.setattr(data, "batches", Slow)
    slow = data.waiting(config, 4)
    assert slow["wait_ms"] > 499
    assert slow["share"] > 0.3 > 0.1 > slow["share_without_loader"]
    report = {"reading_side": 256, "reading": {}, "waiting": {"demo": ours | {"share": 0.001}, "slow": slow}}
    text = data.table(report)
    assert "demo: a step does not wait for images" in text
    assert "slow: a step WAITS for images" in text


def test_report_and_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "SMALL_IMAGES", 40)
    monkeypatch.setattr(data, "configured", lambda setting, path, method, workers: small_config(path, workers or 0))
    file = tmp_path / "new" / "data.json"
    result = CliRunner().invoke(
        data.main, ["--images=16", "--workers=0", "--cfg=demo", "--steps=1", f"--json={file}"]
    )
    assert result.exit_code == 0, result.output
    assert "reading 256x256 PNG" in result.output
    report = json.loads(file.read_text())
    assert report["reading"].keys() == {"zip", "folder"}
    assert report["waiting"]["demo"]["batch"] == 2
    assert {"cpu", "threads", "torch", "gpu"} == report["machine"].keys()


def test_settings_are_those_of_the_configurations(folder):
    demo, paper = (data.configured(setting, folder, "spatialgan", None) for setting in (
        data.SETTINGS[0], data.Setting("paper256", 256, 4, 1)))
    assert (demo.schedule.batch_size, demo.data.workers, demo.hardware.device) == (32, 0, "cpu")
    assert (paper.schedule.batch_size, paper.data.workers, paper.generator.img_resolution) == (4, 2, 256)
