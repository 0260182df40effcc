"""An iterator that works ahead in a thread of its own."""

import atexit
import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar, cast

LOOK_AGAIN = 0.05  # seconds after which a thread that is ahead looks whether it may go on

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Yields the items of `source` in order while a thread makes up to `depth` of them in advance.

    What `source` raises is raised here, at its place in the order. A context: leaving it, or `close`, ends the thread,
    which also closes `source` (when that is a generator).
    """

    def __init__(self, source: Iterator[T], depth: int):
        self._changed = threading.Condition()
        self._ready: deque[tuple[T | None, BaseException | None]] = deque()
        self._depth, self._closed = max(depth, 1), False
        self._thread = threading.Thread(target=self._work, args=(source,), name="prefetch", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # a thread that is still at work must not outlive what it works with

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._ready)
            item, error = self._ready[0]
            if error is None:  # an error stays, for whoever asks again
                self._ready.popleft()
                if not self._ready:  # else the thread looks by itself; woken now, it would take the interpreter away
                    self._changed.notify_all()
        if error is not None:
            raise error
        return cast(T, item)

    def __enter__(self) -> "Prefetcher[T]":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def close(self) -> None:
        """Stop working ahead; waits for the item in the making."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        atexit.unregister(self.close)

    def _work(self, source: Iterator[T]) -> None:
        try:
            while self._put(next(source), None):
                pass
        except BaseException as error:  # StopIteration, too: it ends the consumer's loop
            self._put(None, error)
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()

    def _put(self, item: T | None, error: BaseException | None) -> bool:
        """Hand over when there is room; False when nobody wants it any more."""
        with self._changed:
            while len(self._ready) >= self._depth and not self._closed:
                self._changed.wait(LOOK_AGAIN)
            if not self._closed:
                self._ready.append((item, error))
                self._changed.notify_all()
            return not self._closed
