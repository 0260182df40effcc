"""Where things are kept that can be made or downloaded again."""

import os
from pathlib import Path

VARIABLE = "STEERGAN_CACHE"


def cache_dir() -> Path:
    """$STEERGAN_CACHE, else steergan below $XDG_CACHE_HOME, else ~/.cache/steergan."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "steergan"
