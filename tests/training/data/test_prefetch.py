"""Working ahead in a thread: order, depth, errors at their place, an end that leaves nothing behind."""

import threading
import time

import pytest

from training.data.prefetch import Prefetcher


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "prefetch"]


def wait_for(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def counting(made: list[int], count: int = 10**9, error: Exception | None = None):
    for number in range(count):
        made.append(number)
        yield number
    if error is not None:
        raise error


@pytest.mark.parametrize("depth", [1, 3])
def test_items_come_in_order_and_made_ahead_up_to_the_depth(depth):
    made: list[int] = []
    with Prefetcher(counting(made), depth) as ahead:
        wait_for(lambda: len(made) == depth + 1)  # one more is in the hand of the thread
        time.sleep(0.05)
        assert len(made) == depth + 1
        assert [next(ahead) for _ in range(20)] == list(range(20))
    assert threads() == []


def test_the_end_of_the_source_is_the_end():
    with Prefetcher(counting([], 5), 2) as ahead:
        assert list(ahead) == [0, 1, 2, 3, 4]
        assert list(ahead) == []


def test_an_error_is_raised_at_its_place_and_again():
    with Prefetcher(counting([], 3, OSError("gone")), 5) as ahead:
        assert [next(ahead) for _ in range(3)] == [0, 1, 2]
        for _ in range(2):
            with pytest.raises(OSError, match="gone"):
                next(ahead)


def test_leaving_closes_the_source_in_its_thread():
    closed = []

    def source():
        try:
            while True:
                yield 0
        finally:
            closed.append(threading.current_thread().name)

    with Prefetcher(source(), 2) as ahead:
        next(ahead)
    assert closed == ["prefetch"]
    assert threads() == []
