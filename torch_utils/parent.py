"""Processes that a launcher has started end when it is gone, instead of training on for nobody."""

import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress

LOOK_AGAIN = 1.0  # seconds
LAST_STEP = 60.0  # seconds from the parent's end until a process that has not ended by itself is killed
_PR_SET_PDEATHSIG = 1

_parent: int | None = None


def end_with_parent() -> None:
    """From now on this process gets SIGTERM when its parent ends, and a minute later SIGKILL.

    So a training that can finish its step and save does so.
    """
    global _parent
    if _parent is None:
        _parent = os.getppid()
        threading.Thread(target=_watch, args=(_ask_system(),), name="parent watcher", daemon=True).start()


def is_orphan() -> bool:
    """Whether the parent that `end_with_parent` has found is gone."""
    return _parent is not None and os.getppid() != _parent


def _ask_system() -> bool:
    """Have Linux send the signal, in place of any other that a launcher has asked for; False on other systems."""
    if sys.platform != "linux":
        return False
    with suppress(OSError, AttributeError):
        return ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) == 0
    return False


def _watch(is_told: bool) -> None:
    while not is_orphan():
        time.sleep(LOOK_AGAIN)
    if not is_told:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LAST_STEP)
    os.kill(os.getpid(), signal.SIGKILL)
