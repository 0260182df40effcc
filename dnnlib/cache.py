"""Where things are kept that can be made or downloaded again."""

import os
import tempfile
from pathlib import Path

from dnnlib.errors import UserError

VARIABLE = "STEERGAN_CACHE"


def cache_dir() -> Path:
    """$STEERGAN_CACHE, else steergan below $XDG_CACHE_HOME, else ~/.cache/steergan.

    Without a home directory (a container whose user has no name): a folder of this user's alone among the temporary
    files. Raises UserError when somebody else has made that one.
    """
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).expanduser() if _home() else Path(os.environ[VARIABLE])
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "steergan"
    home = _home()
    return _own_temporary() if home is None else home / ".cache" / "steergan"


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None


def _own_temporary() -> Path:
    path = Path(tempfile.gettempdir()) / f"steergan-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    about = path.lstat()
    if about.st_uid != os.getuid() or about.st_mode & 0o022 or path.is_symlink():
        raise UserError(f"{path} belongs to somebody else; name a folder of yours in the variable {VARIABLE}")
    return path
