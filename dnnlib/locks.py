"""A lock on a directory: one process at a time works there, and the others learn which one it is."""

import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from dnnlib.errors import UserError
from dnnlib.json_files import parse_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = "lock"
LONGEST = 1000  # bytes of a holder's description
PATIENCE = 10.0  # seconds that processes started by a holder that was killed may need to end


def take_lock(handle: int) -> bool | None:
    """Whether the lock of an open file is this process's now, or another's (False); None: there are no locks here."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


class DirectoryLock:
    """A context that holds the lock of `folder`; the system releases it however the process ends, so none is stale.

    Raises UserError, which names the holder, while another process has it. `is_held` is False on a file system without
    locks, where nothing can be said. Processes forked while it is held do not hold it.
    """

    def __init__(self, folder: Path, purpose: str = "in use"):
        self._path, self._purpose = folder / NAME, purpose
        self._handle: int | None = None
        self.is_held = False

    def __enter__(self) -> "DirectoryLock":
        if fcntl is None:
            return self
        try:
            handle = self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise UserError(f"cannot write {self._path}: {error.strerror}; make room or give access") from error
        os.register_at_fork(after_in_child=self._close)
        try:
            self._acquire(handle)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *error) -> None:
        if self.is_held and self._handle is not None:
            with suppress(OSError):
                os.ftruncate(self._handle, 0)
        self._close()

    def _acquire(self, handle: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._try(handle):
            holder = _holder(handle)
            if time.monotonic() > deadline or not _has_died(holder):
                raise UserError(f"{self._path.parent} is {self._purpose} by {_in_words(holder)}; stop that one first")
            time.sleep(0.1)

    def _try(self, handle: int) -> bool:
        """Whether to go on: the lock was free, or there are none here."""
        taken = take_lock(handle)
        if not taken:
            return taken is None
        self.is_held = True
        about = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        with suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(about).encode(), 0)
        return True

    def _close(self) -> None:
        handle, self._handle, self.is_held = self._handle, None, False
        if handle is not None:
            os.close(handle)


def _holder(handle: int) -> dict:
    """What the holder has written: pid, host, since; empty where that cannot be read."""
    try:
        found = parse_json(os.pread(handle, LONGEST, 0), NAME)
    except (OSError, UserError):
        return {}
    return found if isinstance(found, dict) else {}


def _has_died(holder: dict) -> bool:
    """Whether the holder was a process of this machine that is no more."""
    pid = holder.get("pid")
    if not isinstance(pid, int) or not 0 < pid < 2**31 or holder.get("host") != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _in_words(holder: dict) -> str:
    if not holder:
        return "another process"
    return f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
