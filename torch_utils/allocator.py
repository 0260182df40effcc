"""Keep freed memory in the process, instead of giving it back to the system after every activation."""

import ctypes
import sys

# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4


def keep_memory() -> bool:
    """Make glibc reuse the memory of freed tensors; returns whether that was possible.

    By default large blocks are mapped and unmapped each time, and the page faults cost a good part of a training
    step on a CPU. The process then keeps its peak memory until it ends. Does nothing without glibc.
    """
    return _set({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1, _M_TOP_PAD: 2**26})


def return_memory() -> bool:
    """Undo keep_memory; returns whether that was possible.

    Thresholds are those that glibc arrives at by itself in a program that frees large blocks.
    """
    return _set({_M_MMAP_MAX: 2**16, _M_MMAP_THRESHOLD: 2**25, _M_TRIM_THRESHOLD: 2**26, _M_TOP_PAD: 2**17})


def _set(settings: dict[int, int]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    accepted = [mallopt(parameter, value) == 1 for parameter, value in settings.items()]  # all, whatever the first says
    return all(accepted)
