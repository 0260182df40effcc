"""Processes that a launcher has started end when it is gone, instead of training on for nobody."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress

LOOK_AGAIN = 1.0  # seconds
LAST_STEP = 60.0  # seconds from the parent's end until a process that has not ended by itself is killed

_watcher: threading.Thread | None = None


def end_with_parent() -> None:
    """From now on this process gets SIGTERM when its parent ends, and a minute later SIGKILL.

    So a training that can finish its step and save does so. Call it from the main thread.
    """
    global _watcher
    if _watcher is None:
        _watcher = threading.Thread(target=_watch, args=(os.getppid(),), name="parent watcher", daemon=True)
        _watcher.start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_AGAIN)
    with suppress(OSError):
        print("the launcher of this process is gone; ending", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LAST_STEP)
    os.kill(os.getpid(), signal.SIGKILL)
