"""Temporary files of killed processes are removed by the next one that writes the same file, and nothing else is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dnnlib import files, temporaries

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def fresh_listings():
    temporaries._found.cache_clear()
    yield
    temporaries._found.cache_clear()


def start_writer(code: str, *words: str) -> subprocess.Popen:
    """A process that is in the middle of a file when its line arrives."""
    process = subprocess.Popen([sys.executable, "-c", code, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


WRITER = """
import sys, time
from dnnlib import files
with getattr(files, sys.argv[1])(sys.argv[2]) as beside:
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind, name", [("atomic_path", "photos.zip"), ("atomic_folder", "photos")])
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_stays(
    tmp_path: Path, kind: str, name: str
):
    killed, living = (start_writer(WRITER, kind, str(tmp_path / name)) for _ in range(2))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert len(list(tmp_path.iterdir())) == 2
    with getattr(files, kind)(tmp_path / name) as beside:
        assert len(list(tmp_path.iterdir())) == 2  # ours and the living one's
        (beside / "a" if beside.is_dir() else beside).write_text("x")
    living.kill()
    living.wait()
    assert (tmp_path / name).exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_other_files_are_left_alone(tmp_path: Path):
    others = [".photos.original.zip", ".photos.abcdefgh.png", ".other.abcdefgh.zip", ".photos.zip"]
    others += [".photos.link1234.zip"]
    for name in others[:-1]:
        (tmp_path / name).write_text("mine")
    (tmp_path / ".photos.original.zip").chmod(0o644)  # not as temporary ones are
    for name in others[1:-1]:
        (tmp_path / name).chmod(0o600)
    os.symlink(tmp_path / ".photos.zip", tmp_path / others[-1])
    files.write_bytes(tmp_path / "photos.zip", b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "photos.zip"])


def test_a_pipe_of_such_a_name_does_not_hang(tmp_path: Path):
    os.mkfifo(tmp_path / ".photos.abcdefgh.zip", 0o600)
    files.write_bytes(tmp_path / "photos.zip", b"x")
    assert (tmp_path / ".photos.abcdefgh.zip").exists()


def test_without_locks_nothing_is_taken_for_a_leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / ".photos.abcdefgh.zip").touch(0o600)
    monkeypatch.setattr(temporaries, "take_lock", lambda handle: None)
    files.write_bytes(tmp_path / "photos.zip", b"x")
    assert (tmp_path / ".photos.abcdefgh.zip").exists()


def test_a_temporary_that_another_process_has_just_removed_is_made_anew(tmp_path, monkeypatch):
    take_lock, removed = temporaries.take_lock, []

    def remove_first(handle: int) -> bool | None:
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()
        return take_lock(handle)

    monkeypatch.setattr(temporaries, "take_lock", remove_first)
    files.write_bytes(tmp_path / "photos.zip", b"x")
    assert (tmp_path / "photos.zip").read_bytes() == b"x"
    assert len(removed) == 1


def test_a_killed_dataset_tool_leaves_nothing_for_ever(tmp_path: Path):
    words = [sys.executable, "dataset_tool.py", "toy", "--resolution=16", f"--dest={tmp_path / 'a.zip'}"]
    with subprocess.Popen([*words, "--images=100000"], cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        while not list(tmp_path.glob(".a.*.zip")) and process.poll() is None:
            pass
        process.kill()
    assert len(list(tmp_path.glob(".a.*.zip"))) == 1
    subprocess.run([*words, "--images=2"], cwd=ROOT, check=True, capture_output=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
