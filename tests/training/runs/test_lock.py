"""Two processes never train in one directory, and what killed ones have left is cleared."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from dnnlib import locks
from dnnlib.errors import UserError
from dnnlib.files import remove_temporaries
from dnnlib.locks import DirectoryLock
from torch_utils.distributed import World
from training.runs import lock as run_lock

HOLD = """
    import os, sys, time
    from pathlib import Path
    from dnnlib.locks import DirectoryLock
    with DirectoryLock(Path(sys.argv[1]), "being trained"):
        if len(sys.argv) > 2 and os.fork() == 0:
            time.sleep(100)
        print("held", flush=True)
        time.sleep(100)
"""


def holder(folder: Path, *more: str) -> subprocess.Popen:
    """A process that holds the lock of `folder`."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLD), str(folder), *more], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_holds_it(tmp_path: Path):
    process = holder(tmp_path)
    try:
        with pytest.raises(UserError) as caught, run_lock.held(tmp_path, World()):
            pass
    finally:
        process.kill()
        process.communicate()
    line = str(caught.value)
    assert line.startswith(f"{tmp_path} is being trained by process {process.pid} on ")
    assert " since 20" in line
    assert "\n" not in line
    with run_lock.held(tmp_path, World()) as remarks:
        assert remarks == []


def test_processes_that_a_killed_holder_has_forked_do_not_hold_it(tmp_path: Path):
    """As data workers, which end a few seconds after their parent."""
    process = holder(tmp_path, "and a child")
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    try:
        start = time.monotonic()
        with DirectoryLock(tmp_path) as lock:
            assert lock.is_held
        assert time.monotonic() - start < locks.PATIENCE
    finally:
        os.kill(int(child), signal.SIGKILL)


def test_a_lock_is_free_again_after_the_block(tmp_path: Path):
    for _ in range(2):
        with DirectoryLock(tmp_path) as lock:
            assert lock.is_held
    assert (tmp_path / "lock").read_text() == ""


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"pid": 1e9, "host": []}', "\x00" * 2000])
def test_a_damaged_description_of_the_holder_is_no_traceback(tmp_path: Path, text: str):
    handle = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    (tmp_path / "lock").write_text(text)
    with pytest.raises(UserError, match="is in use by "), DirectoryLock(tmp_path):
        pass
    os.close(handle)


def test_without_locks_a_run_goes_on_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*arguments):
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    young, old = (tmp_path / f".checkpoint-{number:010d}.abcdefgh.safetensors" for number in (1, 2))
    for path in (young, old):
        path.write_bytes(b"part")
    os.utime(old, (0, 0))
    with run_lock.held(tmp_path, World()) as remarks:
        assert "removed 1 unfinished file of" in remarks[0]
        assert "no locks on this file system" in remarks[1]
    assert young.exists()
    assert not old.exists()


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_a_lock_that_is_something_else_neither_hangs_nor_raises(tmp_path: Path, kind: str):
    path = tmp_path / "lock"
    path.mkdir() if kind == "directory" else os.mkfifo(path)
    if kind == "directory":
        with pytest.raises(UserError, match=f"cannot write {path}: "), DirectoryLock(tmp_path):
            pass
    else:
        with DirectoryLock(tmp_path) as lock:
            assert lock.is_held


def test_unfinished_files_of_killed_runs_are_removed_and_nothing_else(tmp_path: Path):
    names = [".checkpoint-0000000032.a1b2c3d4.safetensors", ".network-snapshot-000000.016.abcd_fgh.safetensors",
             ".config.abcdefgh.json", ".fakes000012.abcdefgh.png", ".README.abcdefgh.txt"]  # fmt: skip
    others = [".seed0001.abcdefgh.png", ".gitignore", "checkpoint-0000000032.safetensors", ".checkpoint-notes.txt"]
    for name in (*names, *others):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".best.abcdefgh.json").mkdir()
    assert remove_temporaries(tmp_path, run_lock.WRITTEN) == sorted(names)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, ".best.abcdefgh.json"])
