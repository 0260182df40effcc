"""Checkpoint files: which are kept, and what happens when one cannot be written."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dnnlib.errors import UserError
from torch_utils.tensor_files import write_tensors
from training.runs.checkpoint import (
    BackgroundWriter,
    best_record,
    checkpoint_path,
    drop_old_checkpoints,
    latest_checkpoint,
    note_best,
    read_about,
)

BEST_RECORD = {"metric": "fid5k", "quantity": "fid5k", "value": 0.5, "badness": 0.5, "kimg": 1.0, "snapshot": "s"}
ABOUT = {"steergan-checkpoint": '{"version": 2, "images": 5}'}


def tensors() -> dict[str, torch.Tensor]:
    kinds = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
    generator = torch.Generator().manual_seed(0)
    made = {str(kind): torch.randint(0, 2, [3, 5], generator=generator).to(kind) for kind in kinds}
    return made | {"scalar": torch.tensor(3.5), "empty": torch.zeros(0, 4)}


def test_the_library_reads_what_we_write(tmp_path: Path):
    write_tensors(tmp_path / "a.safetensors", tensors(), ABOUT)
    back = load_file(tmp_path / "a.safetensors")
    assert back.keys() == tensors().keys()
    assert all(torch.equal(back[name], value) and back[name].dtype == value.dtype for name, value in tensors().items())
    assert read_about(tmp_path / "a.safetensors") == {"version": 2, "images": 5}


def test_another_version_is_refused(tmp_path: Path):
    path = checkpoint_path(tmp_path, 1)
    write_tensors(path, {}, {"steergan-checkpoint": '{"version": 1}'})
    with pytest.raises(UserError, match="checkpoint version 1, but this program reads 2"):
        read_about(path)
    assert latest_checkpoint(tmp_path) is None


def test_the_newest_and_the_best_are_kept(tmp_path: Path):
    for images in range(1, 6):
        write_tensors(checkpoint_path(tmp_path, images), {}, ABOUT)
    note_best(tmp_path, BEST_RECORD | {"checkpoint": checkpoint_path(tmp_path, 2).name})
    drop_old_checkpoints(tmp_path, 2, images=5)
    kept = sorted(path.name for path in tmp_path.glob("checkpoint-*"))
    assert kept == [checkpoint_path(tmp_path, images).name for images in (2, 4, 5)]
    assert best_record(tmp_path)["value"] == 0.5


def test_checkpoints_that_were_passed_over_do_not_count(tmp_path: Path):
    """A damaged newer one stays, and those written after going on are kept; a damaged older one takes no place."""
    for images in (10, 20, 30, 40, 90):
        write_tensors(checkpoint_path(tmp_path, images), {}, ABOUT)
    for images in (30, 90):
        checkpoint_path(tmp_path, images).write_bytes(b"damaged")
    drop_old_checkpoints(tmp_path, 2, images=40)
    kept = sorted(path.name for path in tmp_path.glob("checkpoint-*"))
    assert kept == [checkpoint_path(tmp_path, images).name for images in (20, 30, 40, 90)]


def test_a_damaged_record_of_the_best_is_refused(tmp_path: Path):
    for text in ("", "{", "[]", "null", '{"checkpoint": "c"}', "[" * 100_000):
        (tmp_path / "best.json").write_text(text)
        with pytest.raises(UserError, match=r"best\.json"):
            best_record(tmp_path)
        drop_old_checkpoints(tmp_path, 2, images=5)


def test_a_copy_is_written_while_the_original_changes(tmp_path: Path):
    live = {"x": torch.ones(4, 3).T}
    with BackgroundWriter() as writer:
        copies = writer.snapshot(live)
        live["x"].zero_()
        writer.submit(tmp_path / "a.safetensors", copies, ABOUT)
        again = writer.snapshot(live)
        assert again["x"] is copies["x"], "memory is used again"
    assert torch.equal(load_file(tmp_path / "a.safetensors")["x"], torch.ones(3, 4))


def test_files_are_written_in_order(tmp_path: Path):
    seen = []
    with BackgroundWriter() as writer:
        writer.submit(tmp_path / "a.safetensors", writer.snapshot(tensors()), ABOUT)
        writer.call(lambda: seen.extend(path.name for path in tmp_path.iterdir()), tmp_path)
    assert seen == ["a.safetensors"]


def test_an_unwritable_directory_is_reported_and_nothing_more(tmp_path: Path):
    with BackgroundWriter() as writer:
        path = tmp_path / "gone" / "a.safetensors"
        writer.submit(path, writer.snapshot(tensors()), ABOUT)
        writer.wait()
        assert writer.failures() == [f"cannot write {path}: No such file or directory"]
        assert writer.failures() == []


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_the_last_checkpoint_whole(small_disk: Path):
    with BackgroundWriter() as writer:
        first, second = checkpoint_path(small_disk, 1), checkpoint_path(small_disk, 2)
        writer.submit(first, writer.snapshot({"x": torch.ones(100_000)}), ABOUT)
        writer.submit(second, writer.snapshot({"x": torch.ones(400_000)}), ABOUT)
        writer.wait()
        assert writer.failures() == [f"cannot write {second}: No space left on device"]
    assert sorted(path.name for path in small_disk.iterdir()) == [first.name]
    assert torch.equal(load_file(first)["x"], torch.ones(100_000))
