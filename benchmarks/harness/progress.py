"""How far a benchmark is: a bar on a terminal, from the first step on; elsewhere a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from tqdm import tqdm

from dnnlib.words import counted

LINE_SECONDS = 30.0  # from one line to the next where there is no terminal


class Progress:
    """Counts the steps of a whole benchmark, warm-up and preparations included.

    with progress:
        progress.expect(10)
        with progress.doing("reading"): ...      # one step
    """

    def __init__(self, name: str, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        self.name = name
        self.done = self.total = 0
        self._stream = stream or sys.stderr
        self._clock = clock
        self._begun = clock()
        self._last_line: float | None = None
        self._bar: tqdm | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.close()

    def expect(self, steps: int) -> None:
        """So many more steps are to come."""
        self.total += steps
        if self._stream.isatty():
            if self._bar is None:
                self._bar = tqdm(
                    desc=self.name, total=self.total, file=self._stream, leave=False, dynamic_ncols=True, unit="step"
                )
            self._bar.total = self.total
            self._bar.refresh()

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """One step; `what` is shown while it lasts."""
        if self._bar is not None:
            self._bar.set_postfix_str(what)
        else:
            self._line(what)
        yield
        self.done += 1
        if self._bar is not None:
            self._bar.update()

    @contextmanager
    def one_more(self, what: str) -> Iterator[None]:
        """A step that was not expected."""
        self.expect(1)
        with self.doing(what):
            yield

    def _line(self, what: str) -> None:
        now = self._clock()
        if self._stream.isatty() or (self._last_line is not None and now - self._last_line < LINE_SECONDS):
            return
        self._last_line = now
        spent = f"{now - self._begun:.0f} s"
        print(
            f"{self.name}: {self.done} of {counted(self.total, 'step')}, {spent}; {what}", file=self._stream, flush=True
        )
