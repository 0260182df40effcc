"""Where the cache is: by the environment, without a home, and for its owner alone."""

import os
import pwd
import stat
import tempfile
from pathlib import Path

import pytest

from dnnlib.cache import cache_dir, cache_folder
from dnnlib.errors import UserError


@pytest.fixture
def unset(monkeypatch):
    for name in ("STEERGAN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def homeless(unset, monkeypatch, tmp_path) -> Path:
    """No HOME, and a user that no list of users knows; returns the folder for temporary files."""

    def unknown(uid: int):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RuntimeError):
        Path.home()
    return tmp_path


def test_home(unset, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "steergan"


@pytest.mark.parametrize("value", ["", "relative/place"])
def test_only_a_whole_path_counts_as_the_users_cache(unset, monkeypatch, tmp_path, value):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert cache_dir() == tmp_path / ".cache" / "steergan"


def test_a_tilde_means_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("STEERGAN_CACHE", "~/mine")
    assert cache_dir() == tmp_path / "mine"


@pytest.mark.parametrize("place", ["~/mine", "~nobody-of-that-name/mine"])
def test_a_tilde_without_a_home_is_one_line(homeless, monkeypatch, place):
    monkeypatch.setenv("STEERGAN_CACHE", place)
    with pytest.raises(UserError, match=f"STEERGAN_CACHE={place}: there is no such home"):
        cache_dir()


def test_without_a_home_it_is_with_the_temporary_files(homeless):
    assert cache_folder("weights") == homeless / f"steergan-{os.getuid()}" / "weights"
    assert stat.S_IMODE(cache_dir().stat().st_mode) == 0o700


def test_without_a_home_a_link_that_somebody_put_there_is_refused(homeless, tmp_path):
    (homeless / f"steergan-{os.getuid()}").symlink_to(tmp_path)
    with pytest.raises(UserError, match="is somebody else's; set STEERGAN_CACHE"):
        cache_dir()


def test_without_a_home_another_users_folder_is_refused(homeless, monkeypatch):
    cache_folder("weights")
    user = os.getuid()
    (homeless / f"steergan-{user}").rename(homeless / f"steergan-{user + 1}")
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    with pytest.raises(UserError, match="is somebody else's; set STEERGAN_CACHE"):
        cache_dir()


def test_without_any_folder_for_temporary_files(homeless, monkeypatch):
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(UserError, match="no home and no folder for temporary files; set STEERGAN_CACHE"):
        cache_dir()


def test_all_that_is_made_is_for_its_owner_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("STEERGAN_CACHE", str(tmp_path / "a" / "b"))
    folder = cache_folder("weights")
    assert folder == cache_folder("weights")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.parents[:2])] == [0o700] * 3


def test_a_place_that_is_a_file(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STEERGAN_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot make the cache .*; set STEERGAN_CACHE to another place"):
        cache_folder("weights")
