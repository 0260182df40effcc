"""The cache of libraries under attack: damaged files, files of other users, things that are no files, links."""

import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dnnlib.downloads import sha256_of
from torch_utils import ops
from torch_utils.native import build, cache, integrity, loader, toolchain
from torch_utils.native.cache import Slot, finished
from torch_utils.native.errors import ToolError

ROOT = Path(__file__).parents[3]
STRANGER = 54321
USE = """
import torch
from torch_utils import ops
with ops.use("native"):
    print(float(ops.bias_act(torch.ones(1, 2, 3, 3), torch.ones(2), act="linear").sum()))
"""


@pytest.fixture
def slot(tmp_path, monkeypatch) -> Slot:
    """A slot in a cache of its own, made as a build makes it, with the library of the cache in use; nothing loaded."""
    done = finished("cpu")
    assert done is not None, "no native operators; see: python -m torch_utils.ops doctor"
    monkeypatch.setenv("STEERGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loader, "_loaded", {})
    slot = Slot.of(toolchain.find("cpu"))
    slot.make()
    for path in (done, integrity.digest_file(done)):
        shutil.copy(path, slot.folder)
    return slot


@pytest.fixture
def fake_compiler(slot, tmp_path, monkeypatch) -> list[Path]:
    """Compiling takes a copy of the sound library; the list grows with each time."""
    sound, calls = shutil.copy(slot.library, tmp_path / "sound.so"), []

    def compile_in(work: Path, *_) -> None:
        calls.append(work)
        shutil.copy(sound, work / slot.library.name)

    monkeypatch.setattr(build, "_compile_in", compile_in)
    return calls


@pytest.fixture
def give_away(monkeypatch) -> Callable[[Path], None]:
    """give_away(path): makes it another user's, in truth where we may, else in what the checks get to see."""
    given, look = set(), integrity._info

    def seen(path: Path, follow: bool = True):
        info = look(path, follow)
        return SimpleNamespace(st_uid=STRANGER, st_mode=info.st_mode) if Path(path) in given else info

    def give(path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, STRANGER, -1, follow_symlinks=False)
        else:
            given.add(path)

    monkeypatch.setattr(integrity, "_info", seen)
    return give


def refused(device: str = "cpu") -> str:
    """One warning, then the PyTorch versions."""
    with pytest.warns(UserWarning, match="native operators for") as caught:
        assert [loader.is_loaded(device), loader.is_loaded(device)] == [False, False]
    with warnings.catch_warnings(), ops.use("native"):
        warnings.simplefilter("error")
        assert ops.bias_act(torch.ones(2, 3), torch.ones(3), act="linear").tolist() == [[2.0] * 3] * 2
    (warning,) = caught
    assert "\n" not in str(warning.message)
    return str(warning.message)


def check_rebuilt(slot: Slot, calls: list, capsys) -> None:
    """Once, saying so, with everything in its place."""
    assert loader.is_loaded("cpu")
    assert len(calls) == 1
    told = capsys.readouterr().err
    assert told.count("is damaged") == told.count("\n") == 1
    assert slot.finished()
    assert build.build(toolchain.find("cpu")) == slot.library
    assert len(calls) == 1
    assert sorted(path.name for path in slot.folder.iterdir()) == ["lock", "steergan_cpu.so", "steergan_cpu.so.sha256"]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def no_digest(path: Path) -> None:
    integrity.digest_file(path).unlink()


def other_digest(path: Path) -> None:
    integrity.digest_file(path).write_text("0" * 64)


def endless_digest(path: Path) -> None:
    with integrity.digest_file(path).open("wb") as file:
        file.truncate(1 << 40)


def fifo_digest(path: Path) -> None:
    integrity.digest_file(path).unlink()
    os.mkfifo(integrity.digest_file(path))


damages = pytest.mark.parametrize(
    "damage", [truncated, flipped, emptied, no_digest, other_digest, endless_digest, fifo_digest]
)


# ---- digests


@damages
def test_a_damaged_library_is_built_anew(slot, fake_compiler, capsys, damage):
    damage(slot.library)
    check_rebuilt(slot, fake_compiler, capsys)


@damages
def test_a_damaged_library_is_not_loaded_where_none_can_be_built(slot, monkeypatch, tmp_path, damage):
    damage(slot.library)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert "no C++ compiler" in refused()


@pytest.mark.parametrize("size", [0, 5000, *(pytest.param(size, marks=pytest.mark.slow) for size in (64, 400_000, -1))])
def test_a_cut_library_does_not_end_the_process(slot, size):
    """In a process of its own: loading any of them is a bus error or a segmentation fault."""
    slot.library.write_bytes(slot.library.read_bytes()[:size])
    environment = os.environ | {"CXX": "there-is-none"}
    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, signal.Signals(-done.returncode)
    assert float(done.stdout) == 36
    assert "no C++ compiler" in done.stderr


def test_a_build_leaves_a_library_with_its_digest_for_others_to_read_only(slot, fake_compiler):
    slot.library.unlink()
    mask = os.umask(0)
    try:
        build.build(toolchain.find("cpu"))
    finally:
        os.umask(mask)
    for path in (slot.library, integrity.digest_file(slot.library)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert integrity.digest_file(slot.library).read_text() == f"{sha256_of(slot.library)}\n"
    assert slot.finished()


@pytest.mark.parametrize("has_locks", [True, False])
def test_the_work_of_another_build_stays_where_there_are_no_locks(slot, monkeypatch, has_locks: bool):
    def refused(handle: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    if not has_locks:
        monkeypatch.setattr(cache.fcntl, "flock", refused)
    left = slot.folder / "work-of-another"
    left.mkdir()
    for age, stays in ((0, not has_locks), (2 * cache.OLD, False)):
        if left.exists():
            os.utime(left, times=(time.time() - age,) * 2)
        with slot.lock(1), slot.workplace() as work:
            assert work.exists()
            assert left.exists() == stays


def test_a_crash_between_digest_and_library_is_repaired(slot, fake_compiler, capsys, monkeypatch):
    truncated(slot.library)
    replace = Path.replace

    def crash(self: Path, target: Path) -> Path:
        if target == slot.library:
            raise OSError(5, "Input/output error")
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(ToolError, match="input/output error"):
            build.build(toolchain.find("cpu"), retry=True)
    assert list(slot.folder.glob("work-*")) == []
    capsys.readouterr(), fake_compiler.clear()
    slot.forget_failure()
    check_rebuilt(slot, fake_compiler, capsys)


# ---- owners


def test_folders_are_made_for_their_owner_alone(slot):
    for folder in (slot.folder, slot.folder.parent, slot.folder.parents[1]):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("which", ["steergan_cpu.so", "steergan_cpu.so.sha256", ".", "..", "../.."])
def test_what_another_user_put_there_is_not_loaded(slot, give_away, which):
    path = Path(os.path.normpath(slot.folder / which))
    give_away(path)
    message = refused()
    assert f"{path} belongs to another user ({STRANGER})" in message
    assert "set STEERGAN_CACHE to a folder of your own" in message
    assert finished("cpu") is None


@pytest.mark.parametrize("which", ["steergan_cpu.so", "steergan_cpu.so.sha256", ".", "..", "../.."])
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o720])
def test_what_others_can_write_to_is_not_loaded(slot, which, mode):
    path = Path(os.path.normpath(slot.folder / which))
    path.chmod(mode)
    message = refused()
    assert f"other users may write to {path}" in message
    assert f"chmod go-w {path}" in message
    assert finished("cpu") is None


def test_a_folder_in_which_everybody_can_replace_the_cache(slot, tmp_path):
    tmp_path.chmod(0o777)
    assert f"everybody may replace what is in {tmp_path}" in refused()
    tmp_path.chmod(0o1777)  # as /tmp: there nobody can
    assert slot.finished()


def test_nothing_is_built_where_others_can_write(tmp_path, monkeypatch):
    place = tmp_path / "all"
    place.mkdir()
    place.chmod(0o777)
    monkeypatch.setenv("STEERGAN_CACHE", str(place))
    monkeypatch.setattr(loader, "_loaded", {})
    assert f"other users may write to {place}" in refused()
    assert list(place.iterdir()) == []


def test_a_link_of_another_user_is_not_followed(slot, tmp_path, monkeypatch, give_away):
    (tmp_path / "link").symlink_to(tmp_path / "cache")
    monkeypatch.setenv("STEERGAN_CACHE", str(tmp_path / "link"))
    assert Slot.of(toolchain.find("cpu")).finished()
    give_away(tmp_path / "link")
    assert f"the link {tmp_path / 'link'} belongs to another user" in refused()


def test_a_link_of_our_own_is_followed_to_where_it_leads(slot, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "native").symlink_to(slot.folder.parent)
    monkeypatch.setenv("STEERGAN_CACHE", str(tmp_path / "other"))
    assert Slot.of(toolchain.find("cpu")).finished()
    slot.folder.parent.chmod(0o777)
    assert "other users may write to" in refused()


# ---- things that are no files


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()
    (path / "full").write_text("")


def link(path: Path) -> None:
    (path.parent.parent / "precious").write_text("kept")
    path.symlink_to(path.parent.parent / "precious")


def loop(path: Path) -> None:
    path.symlink_to(path)


odd = pytest.mark.parametrize("make", [fifo, folder, link, loop])


@odd
@pytest.mark.parametrize("name", ["lock", "build.log", "failed.json", "steergan_cpu.so", "steergan_cpu.so.sha256"])
def test_what_is_no_file_neither_hangs_nor_raises(slot, fake_compiler, name, make):
    for path in (slot.library, integrity.digest_file(slot.library), slot.folder / name):
        path.unlink(missing_ok=True)
    make(slot.folder / name)
    assert slot.recent_failure() is None
    assert build.build(toolchain.find("cpu")) == slot.library
    assert len(fake_compiler) == 1
    assert slot.finished()
    assert not slot.log.is_symlink()
    precious = slot.folder.parent / "precious"
    assert make is not link or precious.read_text() == "kept"


@pytest.mark.parametrize("make", [fifo, link, loop])
def test_the_log_of_a_command_is_a_file_of_its_own(tmp_path, make):
    (tmp_path / "slot").mkdir()
    log = tmp_path / "slot" / "build.log"
    make(log)
    assert build.run_limited(["/bin/echo", "done"], log, 20, dict(os.environ)) == 0
    assert log.read_text() == "done\n"
    assert make is not link or (tmp_path / "precious").read_text() == "kept"


def test_a_lock_that_is_a_folder_is_one_error(tmp_path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(ToolError, match="cannot lock"), Slot(tmp_path, "cpu").lock(1):
        pass


@pytest.mark.parametrize("cause, time", [
    ("x", "1e999"), ("x", "null"), ("x", "1e300"), ("x", '"now"'), ("x", "1" * 5000), ("x", "-1e300"),
])  # fmt: skip
def test_a_note_of_failure_with_an_absurd_time_counts_for_nothing(tmp_path, cause, time):
    (tmp_path / "failed.json").write_text(f'{{"cause": "{cause}", "time": {time}}}')
    assert Slot(tmp_path, "cpu").recent_failure() is None


# ---- installed with the package


@pytest.mark.slow
def test_setup_adds_a_library_with_its_digest(tmp_path, monkeypatch):
    places = [f"--build-base={tmp_path / 'base'}", f"--build-lib={tmp_path}"]
    command = [sys.executable, "setup.py", "-q", "build", *places]
    environment = os.environ | {"STEERGAN_AOT": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, timeout=280, check=True)
    monkeypatch.setattr(cache, "INSTALLED", tmp_path / "torch_utils" / "native" / "prebuilt")
    monkeypatch.setenv("STEERGAN_CACHE", str(tmp_path / "empty"))
    found = finished("cpu")
    assert found is not None
    assert found.is_relative_to(cache.INSTALLED)
    flipped(found)
    assert finished("cpu") is None


@pytest.fixture
def installed(slot, tmp_path, monkeypatch) -> Path:
    """A library installed with the package, an empty cache, no compiler."""
    place = tmp_path / "prebuilt"
    shutil.copytree(slot.folder, place / slot.folder.name)
    monkeypatch.setattr(cache, "INSTALLED", place)
    monkeypatch.setenv("STEERGAN_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("CXX", "there-is-none")
    return place / slot.folder.name / slot.library.name


def test_an_installed_library_is_loaded(installed):
    assert loader.library("cpu") == installed
    assert loader.is_loaded("cpu")


@damages
def test_a_damaged_installed_library_is_not_loaded(installed, damage):
    damage(installed)
    assert finished("cpu") is None
    assert "no C++ compiler" in refused()


@pytest.mark.parametrize("which", ["steergan_cpu.so", "steergan_cpu.so.sha256", "."])
def test_an_installed_library_of_another_user_is_not_loaded(installed, give_away, which):
    give_away(Path(os.path.normpath(installed.parent / which)))
    assert finished("cpu") is None


def test_an_installed_library_may_be_who_installed_the_package(installed, give_away, monkeypatch):
    for path in (installed, integrity.digest_file(installed), installed.parent):
        give_away(path)
    monkeypatch.setattr(integrity, "of_package", lambda: integrity.Trust(frozenset({0, STRANGER})))
    assert finished("cpu") == installed


def test_installed_files_may_be_links(installed, tmp_path, monkeypatch):
    linked = tmp_path / "site" / installed.parent.name
    linked.mkdir(parents=True)
    for path in (installed, integrity.digest_file(installed)):
        (linked / path.name).symlink_to(path)
    monkeypatch.setattr(cache, "INSTALLED", tmp_path / "site")
    assert finished("cpu") == installed
