"""The one thread that computes: the newest request of a slot counts, stale ones are dropped, pages take turns."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from contextlib import suppress

from dnnlib.errors import UserError

Task = Generator[None, None, None]
Key = tuple[Hashable, str]
Entry = tuple[Task, Callable[[Exception], None]]
MOST_WAITING = 64  # tasks of one owner


class Scheduler:
    """Runs tasks, which are generators: each `next` is a piece of work after which others have their turn.

    A task belongs to an owner and a slot. A newer one in the same slot takes the place of an older one, also of one
    that has begun: a picture that nobody waits for is not made. `failed` is told, in the thread that runs tasks, what
    a task raised.
    """

    def __init__(self):
        self._waiting: OrderedDict[Key, Entry] = OrderedDict()
        self._changed = threading.Condition()
        self._running: Key | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, owner: Hashable, slot: str, task: Task, failed: Callable[[Exception], None]) -> None:
        """Raises UserError when the owner has too many tasks in other slots already."""
        key = (owner, slot)
        with self._changed:
            if key not in self._waiting and sum(known == owner for known, _ in self._waiting) >= MOST_WAITING:
                raise UserError("too many requests at a time; wait for some answers")
            self._forget(key)
            self._waiting[key] = (task, failed)  # the place in the queue is that of the one it replaces
            self._changed.notify()

    def cancel(self, owner: Hashable, slot: str | None = None) -> None:
        """Drop an owner's task in a slot, or all of its tasks."""
        with self._changed:
            keys = [key for key in (*self._waiting, self._running) if key and key[0] == owner]
            for key in keys:
                if slot in (None, key[1]):
                    self._forget(key)
                    self._waiting.pop(key, None)

    def end(self) -> None:
        """Finish the piece of work at hand, and none after it."""
        with self._changed:
            self._ended = True
            self._waiting.clear()
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _forget(self, key: Key) -> None:
        """A running task of that key is not continued."""
        if key == self._running:
            self._running = None

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            key, entry = taken
            goes_on = _step(*entry)
            if not self._put_back(key, entry, goes_on) and goes_on:
                _close(entry[0])

    def _take(self) -> tuple[Key, Entry] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if self._ended:
                return None
            key, entry = self._waiting.popitem(last=False)
            self._running = key
            return key, entry

    def _put_back(self, key: Key, entry: Entry, goes_on: bool) -> bool:
        """At the end of the queue, unless it has ended or was dropped meanwhile."""
        with self._changed:
            kept = goes_on and self._running == key and not self._ended
            self._running = None
            if kept:
                self._waiting[key] = entry
            return kept


def _step(task: Task, failed: Callable[[Exception], None]) -> bool:
    """Whether there is more to do."""
    try:
        next(task)
        return True
    except StopIteration:
        return False
    except Exception as error:
        failed(error)
        return False


def _close(task: Task) -> None:
    with suppress(Exception):
        task.close()
