"""What happens to data while a run reads them: images damaged, archives gone or changed, workers killed."""

import itertools
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dnnlib.errors import UserError
from tests.training.data_samples import encoded, picture, write_folder, write_zip
from tests.training.small import generator_config, run_config
from training.data.dataset import ImageDataset, SampleOrder, batches
from training.loop import train

ROOT = Path(__file__).parents[3]
COUNT = 200  # 1 % of it may be damaged


def files(count: int = COUNT) -> dict[str, bytes]:
    return {f"{i:03d}.png": encoded(picture(i)) for i in range(count)}


def garbled(data: bytes) -> bytes:
    """A PNG whose header is right and whose pixels are not."""
    return data[:50] + bytes(20) + data[70:]


def write(kind: str, folder: Path, damaged: tuple[int, ...] = (), count: int = COUNT) -> Path:
    """A data set whose images have these numbers damaged."""
    content = files(count)
    for number in damaged:
        content[f"{number:03d}.png"] = garbled(content[f"{number:03d}.png"])
    return write_zip(folder / "a.zip", content) if kind == "zip" else write_folder(folder / "a", content)


def first(count, generator) -> list[np.ndarray]:
    """Images of the first batches."""
    return [images.numpy() for images, _ in itertools.islice(generator, count)]


def one_line(caught) -> str:
    message = str(caught.value)
    assert "\n" not in message
    return message


# ---- unreadable images


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_a_damaged_image_is_replaced_by_the_next_readable_one(tmp_path, kind):
    dataset = ImageDataset(write(kind, tmp_path, damaged=(7, 8)), mirror=True, skip_damaged=True)
    for index, instead in ((7, 9), (8, 9), (9, 9), (207, 209)):
        np.testing.assert_array_equal(dataset[index][0], dataset[instead][0])
    assert list(dataset.damage.found) == ["007.png", "008.png"]
    assert "007.png is damaged" in dataset.damage.found["007.png"]


def test_the_last_ones_place_is_taken_by_the_first(tmp_path):
    dataset = ImageDataset(write("zip", tmp_path, damaged=(COUNT - 1,)), skip_damaged=True)
    np.testing.assert_array_equal(dataset[COUNT - 1][0], dataset[0][0])


def test_without_leave_a_damaged_image_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"007\.png is damaged"):
        ImageDataset(write("zip", tmp_path, damaged=(7,)))[7]


def test_labels_go_with_the_images(tmp_path):
    content = files() | {"007.png": garbled(files()["007.png"])}
    path = write_zip(tmp_path / "a.zip", content, {"labels": [[name, int(name[:3])] for name in content]})
    assert ImageDataset(path, use_labels=True, skip_damaged=True)[7][1].argmax() == 8


@pytest.mark.parametrize("workers", [0, 2])
def test_training_goes_on_past_a_damaged_image_and_says_so_once(tmp_path, caplog, workers):
    dataset = ImageDataset(write("zip", tmp_path, damaged=(7, 100)), skip_damaged=True)
    order = SampleOrder(COUNT, seed=1)
    with caplog.at_level(logging.WARNING, "steergan"):
        found = np.concatenate(first(60, batches(dataset, order, 0, 10, workers=workers)))  # three epochs
    expected = order.indices(0, 600)
    expected = np.where((expected == 7) | (expected == 100), expected + 1, expected)
    np.testing.assert_array_equal(found, [dataset[int(i)][0] for i in expected])
    said = sorted(record.getMessage() for record in caplog.records)
    assert len(said) == 2
    assert "100.png is damaged" in said[1]
    assert "another image takes its place" in said[1]
    assert sorted(dataset.damage.found) == ["007.png", "100.png"]


@pytest.mark.parametrize("world", [1, 2, 4])
def test_ranks_stay_in_step_past_damaged_images(tmp_path, world):
    path = write("zip", tmp_path, damaged=(7, 8))
    whole = ImageDataset(path, skip_damaged=True)
    order = SampleOrder(COUNT, seed=2)
    ranks = [
        first(30, batches(ImageDataset(path, skip_damaged=True), order, 3, 8, rank=rank, world=world))
        for rank in range(world)
    ]
    together = np.concatenate([np.concatenate(step) for step in zip(*ranks, strict=True)])
    np.testing.assert_array_equal(together, [whole[int(i)][0] for i in order.indices(3, 240)])


@pytest.mark.parametrize("workers", [0, 1])
def test_more_than_one_in_a_hundred_damaged_is_the_end(tmp_path, workers):
    dataset = ImageDataset(write("zip", tmp_path, damaged=(7, 50, 100)), skip_damaged=True)
    with pytest.raises(UserError) as caught:
        first(20, batches(dataset, SampleOrder(COUNT, 0), 0, 10, workers=workers))
    assert "3 of 200 images cannot be read, more than the 2 that are passed over; the first: " in one_line(caught)


def test_a_long_row_of_damaged_images_is_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("training.data.dataset.IN_A_ROW", 2)
    monkeypatch.setattr("training.data.damage.IN_A_ROW", 2)
    dataset = ImageDataset(write("zip", tmp_path, damaged=(7, 8)), skip_damaged=True)
    with pytest.raises(UserError) as caught:
        dataset[7]
    assert "2 images in a row cannot be read; the last: " in one_line(caught)
    assert "008.png" in one_line(caught)


def test_headers_that_are_damaged_at_the_start_count_as_well(tmp_path):
    content = files() | {"000.png": b"", "007.png": b"PNG"}
    dataset = ImageDataset(write_folder(tmp_path / "a", content), skip_damaged=True)
    assert dataset.image_shape == (3, 8, 8)
    assert list(dataset.damage.found) == ["000.png", "007.png"]
    assert len(dataset.content_hash()) == 64
    with pytest.raises(UserError, match="3 of 200 images cannot be read"):
        ImageDataset(write_folder(tmp_path / "a", {"100.png": b""}), skip_damaged=True)


def test_a_file_that_has_gone_from_a_folder_counts_as_damaged(tmp_path):
    path = write("folder", tmp_path)
    dataset = ImageDataset(path, skip_damaged=True)
    (path / "007.png").unlink()
    np.testing.assert_array_equal(dataset[7][0], dataset[8][0])
    assert "No such file" in dataset.damage.found["007.png"]
    assert len(dataset.content_hash()) == 64


def test_an_odd_size_is_an_error_not_damage(tmp_path, monkeypatch):
    monkeypatch.setattr("training.data.dataset._CHECKED_HEADERS", 1)
    path = write_zip(tmp_path / "a.zip", files() | {"007.png": encoded(picture(size=16))})
    with pytest.raises(UserError, match="must be alike"):
        ImageDataset(path, skip_damaged=True)[7]


def test_a_whole_run_goes_on_past_a_damaged_image_and_logs_it(tmp_path):
    content = {f"{i:03d}.png": encoded(picture(i, 32)) for i in range(8)}
    path = write_zip(tmp_path / "a.zip", content | {"003.png": garbled(content["003.png"])})
    schedule = {"batch_size": 4, "total_kimg": 0.016, "kimg_per_tick": 0.008, "snapshot_ticks": 2, "metrics": ()}
    config = run_config(
        data={"path": str(path), "workers": 0}, schedule=schedule, hardware={"device": "cpu"}, method="stylegan2",
        generator=generator_config(encoding=None), align={"weight": 0},
    )
    (tmp_path / "run").mkdir()
    train(config, tmp_path / "run")
    log = (tmp_path / "run" / "log.txt").read_text()
    assert log.count("003.png is damaged (wrong checksum of IDAT)") == 1
    assert list((tmp_path / "run").glob("network-snapshot-*.safetensors"))


# ---- archives


@pytest.mark.parametrize("workers", [0, 1])
def test_a_zip_cut_short_in_the_middle_of_a_run(tmp_path, workers):
    path = write("zip", tmp_path)
    size = path.stat().st_size
    ready = batches(ImageDataset(path, skip_damaged=True), SampleOrder(COUNT, 0), 0, 10, workers=workers)
    next(ready)
    os.truncate(path, 1000)
    with pytest.raises(UserError) as caught:
        first(20, ready)
    message = one_line(caught)
    assert f"{path} has been changed while it was in use ({size} bytes before, 1000 now)" in message


def test_a_zip_deleted_before_a_worker_opens_it(tmp_path):
    path = write("zip", tmp_path)
    dataset = ImageDataset(path, skip_damaged=True)
    path.unlink()
    with pytest.raises(UserError) as caught:
        next(batches(dataset, SampleOrder(COUNT, 0), 0, 10, workers=1))
    assert f"{path} has vanished while it was in use; bring it back" in one_line(caught)


def test_a_zip_deleted_while_it_is_open_is_read_to_the_end(tmp_path):
    """The system keeps the contents for those who have the file open."""
    path = write("zip", tmp_path)
    expected = [image for image, _ in map(ImageDataset(path).__getitem__, range(COUNT))]
    dataset = ImageDataset(path, skip_damaged=True)
    path.unlink()
    np.testing.assert_array_equal([dataset[i][0] for i in range(COUNT)], expected)


def test_a_zip_replaced_by_another_of_other_images(tmp_path):
    path = write("zip", tmp_path)
    dataset = ImageDataset(path, skip_damaged=True)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("000.png", bytes(500_000))
    path.write_bytes((tmp_path / "other.zip").read_bytes())
    with pytest.raises(UserError, match="has been changed while it was in use"):
        dataset[100]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_folder_that_vanishes_in_the_middle_of_a_run(tmp_path, workers):
    path = write("folder", tmp_path)
    ready = batches(ImageDataset(path, skip_damaged=True), SampleOrder(COUNT, 0), 0, 10, workers=workers)
    next(ready)
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError) as caught:
        first(20, ready)
    assert f"{path} has vanished while it was in use" in one_line(caught)


# ---- workers


def worker_processes() -> list[multiprocessing.Process]:
    return multiprocessing.active_children()


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    assert worker_processes() == []


def test_a_killed_worker_is_one_line_and_no_hang(tmp_path):
    ready = batches(ImageDataset(write("zip", tmp_path)), SampleOrder(COUNT, 0), 0, 10, workers=2)
    next(ready)
    victim, _ = worker_processes()
    os.kill(victim.pid, signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        first(1000, ready)
    assert time.monotonic() - start < 30
    message = one_line(caught)
    assert "a process that reads images has died" in message
    assert f"{victim.pid}" in message
    assert "fewer --workers than 2" in message
    assert worker_processes() == []


def test_workers_leave_a_jobs_signals_to_their_parent(tmp_path):
    """Ctrl-C goes to the whole group of processes; the step under way still needs its images."""
    dataset = ImageDataset(write("zip", tmp_path))
    ready = batches(dataset, SampleOrder(COUNT, 0), 0, 10, workers=1)
    next(ready)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(worker_processes()[0].pid, number)
    assert len(first(30, ready)) == 30
    ready.close()


def test_closing_ends_the_workers(tmp_path):
    ready = batches(ImageDataset(write("zip", tmp_path)), SampleOrder(COUNT, 0), 0, 10, workers=2)
    next(ready)
    assert len(worker_processes()) == 2
    ready.close()
    assert worker_processes() == []


SCRIPT = """
import sys
from tests.training.small import generator_config, run_config
from training.data.dataset import ImageDataset, SampleOrder, batches
from training.loop import train
ready = batches(ImageDataset(sys.argv[1]), SampleOrder(200, 0), 0, 10, workers=int(sys.argv[2]))
next(ready)
print("ready", flush=True)
if sys.argv[3] == "wait":
    while True:
        next(ready)
"""


def run_script(path: Path, workers: int, what: str) -> subprocess.Popen:
    command = [sys.executable, "-c", SCRIPT, path, str(workers), what]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_program_that_ends_leaves_no_process_and_says_nothing(tmp_path, workers):
    process = run_script(write("zip", tmp_path), workers, "end")
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (0, "", "")


@pytest.mark.slow
def test_workers_do_not_outlive_a_parent_that_is_killed(tmp_path):
    process = run_script(write("zip", tmp_path), 2, "wait")
    children = Path(f"/proc/{process.pid}/task").glob("*/children")
    workers = [int(pid) for file in children for pid in file.read_text().split()]
    assert len(workers) == 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.communicate()
