"""Where things are kept that can be made or downloaded again."""

import os
import stat
import tempfile
from pathlib import Path

from dnnlib.errors import UserError

VARIABLE = "STEERGAN_CACHE"
OWN = 0o700  # folders of the cache are made for their owner alone


def cache_dir() -> Path:
    """$STEERGAN_CACHE, else steergan below $XDG_CACHE_HOME, else ~/.cache/steergan.

    A user without a home, as containers have, gets steergan-UID in the folder for temporary files. Raises UserError
    when that belongs to somebody else, or when there is none.
    """
    if os.environ.get(VARIABLE):
        return _expanded(os.environ[VARIABLE])
    users = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(users):  # the XDG specification: others are to be ignored
        return Path(users, "steergan")
    try:
        return Path.home() / ".cache" / "steergan"
    except RuntimeError:  # no HOME, and a user that no list of users knows
        return _without_home()


def cache_folder(name: str) -> Path:
    """The folder `name` in the cache, made if need be. Raises UserError when that is impossible."""
    folder = cache_dir() / name
    try:
        make_own(folder)
    except OSError as error:
        raise UserError(f"cannot make the cache {folder}: {error.strerror}; set {VARIABLE} to another place") from error
    return folder


def make_own(folder: Path) -> None:
    """Make a folder, and those above that are missing, for their owner alone. Raises OSError."""
    for path in reversed([folder, *folder.parents]):
        if not path.is_dir():
            path.mkdir(OWN, exist_ok=True)


def _expanded(place: str) -> Path:
    """~ means the home here too: where a container's settings are read, no shell has replaced it."""
    try:
        return Path(place).expanduser()
    except RuntimeError as error:
        raise UserError(f"{VARIABLE}={place}: there is no such home; write the whole path") from error


def _without_home() -> Path:
    try:
        path = Path(tempfile.gettempdir(), f"steergan-{os.getuid()}")
    except OSError as error:
        raise UserError(f"there is no home and no folder for temporary files; set {VARIABLE} to a folder") from error
    if os.path.lexists(path) and not _is_own(path.lstat()):
        raise UserError(f"there is no home, and {path} is somebody else's; set {VARIABLE} to a folder of your own")
    return path


def _is_own(info: os.stat_result) -> bool:
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.getuid()
