"""Shorter time slices for the threads of this process, on a Linux that takes wishes (6.12 and later).

Threads that compute together wait for the last of them. One that wakes up beside another process is given a processor
sooner when it asks for little time at once; it gets no more time in all. Without a wish a slice is some milliseconds,
as long as a whole operation of a small network.
"""

import ctypes
import os
import platform
import sys
from pathlib import Path

SHORT = 100_000  # nanoseconds: the shortest that Linux takes
USUAL = 0  # what the system gives to everybody
_CALLS = {"x86_64": (314, 315), "aarch64": (274, 275)}  # sched_setattr, sched_getattr
_ORDINARY = (0, 3)  # SCHED_OTHER and SCHED_BATCH: in other policies the field means something else


class _Attributes(ctypes.Structure):
    """struct sched_attr of sched_setattr(2), its first version."""

    _fields_ = [  # ctypes wants a list
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    ]


def set_slices(nanoseconds: int, tasks: Path = Path("/proc/self/task")) -> int:
    """Ask for slices of so many nanoseconds, SHORT or USUAL, for every thread there is now: how many were granted.

    0 where the system has no such call. An older Linux grants it and does nothing.
    """
    calls = _CALLS.get(platform.machine())
    if sys.platform != "linux" or calls is None:
        return 0
    return sum(_ask(int(task.name), nanoseconds, *calls) for task in tasks.glob("[0-9]*"))


def _ask(thread: int, nanoseconds: int, setter: int, getter: int) -> bool:
    try:
        attributes = _read(thread, getter)
        if attributes.policy not in _ORDINARY:
            return False
        attributes.runtime = nanoseconds
        _call(setter, thread, ctypes.byref(attributes), 0)
    except OSError:
        return False  # the thread has just ended, or a sandbox forbids the call
    return True


def _read(thread: int, getter: int) -> _Attributes:
    attributes = _Attributes(size=ctypes.sizeof(_Attributes))
    _call(getter, thread, ctypes.byref(attributes), attributes.size, 0)
    return attributes


def _call(*arguments: object) -> None:
    if ctypes.CDLL(None, use_errno=True).syscall(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
