"""Wishes for short time slices reach the system, for every thread, and can be taken back."""

import os
import platform
import sys
import threading
from pathlib import Path

import pytest

from torch_utils import time_slices
from torch_utils.threads import Relief
from torch_utils.time_slices import SHORT, USUAL, set_slices


def _takes_wishes() -> bool:
    return sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64") and set_slices(USUAL) > 0


asks = pytest.mark.skipif(not _takes_wishes(), reason="the system has no such call, or forbids it")


def slice_of(thread: int) -> int:
    """Nanoseconds, as the system has them."""
    return time_slices._read(thread, time_slices._CALLS[platform.machine()][1]).runtime


@pytest.fixture
def thread():
    """The number of a thread that waits until the test is over."""
    done, started = threading.Event(), threading.Event()
    waiting = threading.Thread(target=lambda: (started.set(), done.wait()))
    waiting.start()
    started.wait()
    yield waiting.native_id
    done.set()
    waiting.join()
    set_slices(USUAL)


@asks
def test_every_thread_gets_short_slices_and_the_usual_ones_again(thread):
    usual = slice_of(thread)
    assert set_slices(SHORT) >= 2
    known = slice_of(thread)  # an older Linux keeps no wish
    assert known in (SHORT, usual)
    assert slice_of(os.getpid()) == known
    assert set_slices(USUAL) >= 2
    assert slice_of(thread) == usual


@asks
def test_relief_ends_as_it_began(thread):
    usual, relief = slice_of(thread), Relief()
    relief.end()  # nothing was begun
    assert slice_of(thread) == usual
    relief.begin()
    relief.begin()
    assert slice_of(thread) in (SHORT, usual)
    relief.end()
    assert slice_of(thread) == usual


def test_threads_that_have_ended_are_left_out(tmp_path: Path):
    (tmp_path / "999999999").mkdir()
    assert set_slices(SHORT, tmp_path) == 0


@asks
def test_nothing_is_asked_of_other_systems(monkeypatch, thread):
    usual = slice_of(thread)
    with monkeypatch.context() as patched:
        patched.setattr(time_slices.platform, "machine", lambda: "riscv64")
        assert set_slices(SHORT) == 0
    assert slice_of(thread) == usual
