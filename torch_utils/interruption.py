"""Ending a run when somebody asks for it: the first signal lets the step finish, the second does not."""

import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType

import torch
import torch.distributed as dist

from torch_utils.distributed import TIMEOUT, World

SIGNALS = (signal.SIGTERM, signal.SIGINT)
ECHO = 1.0  # seconds in which a launcher may hand on a signal that its processes have had already


class Interruption:
    """A context in which SIGTERM and SIGINT only leave a note; `requested` reads it, alike on all ranks.

    The first signal is answered by a line on the screen, whatever is going on. A second one ends the process at once,
    with status 128 + its number. loading: so does the first, until `hold` is called, while there is nothing to save.
    """

    def __init__(self, world: World, loading: bool = False):
        self._world = world
        self._signal: signal.Signals | None = None
        self._time = 0.0
        self._holds = not loading
        # Votes travel beside the gradients, between the hosts, so that nobody waits for a GPU.
        apart = world.size > 1 and world.device.type == "cuda"
        self._group = dist.new_group(backend="gloo", timeout=TIMEOUT) if apart else None
        self._vote: tuple[torch.Tensor, dist.Work] | None = None

    def __enter__(self) -> "Interruption":
        in_main = threading.current_thread() is threading.main_thread()
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS} if in_main else {}
        return self

    def __exit__(self, *error) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._vote is not None and error[0] is None:
            self._vote[1].wait()

    def hold(self) -> None:
        """From now on the first signal only leaves a note: steps are made."""
        self._holds = True

    @property
    def name(self) -> str:
        """Of the signal that this process got; other ranks may have got one."""
        return self._signal.name if self._signal else "a signal"

    def requested(self) -> bool:
        """Whether to end after this step. Every rank has to call once a step, and gets the same answer.

        With several ranks the answer is about the step before, whose votes had time to arrive.
        """
        if self._world.size == 1:
            return self._signal is not None
        answer = False
        if self._vote is not None:
            votes, work = self._vote
            work.wait()
            answer = bool(votes)
        votes = torch.tensor(int(self._signal is not None))
        self._vote = votes, dist.all_reduce(votes, dist.ReduceOp.MAX, group=self._group, async_op=True)
        return answer

    def _note(self, number: int, frame: FrameType | None) -> None:
        name, echo = signal.Signals(number).name, self._world.size > 1 and time.monotonic() - self._time < ECHO
        if self._signal is not None and not echo:
            os._exit(128 + number)
        if self._signal is not None:
            return
        self._signal, self._time = signal.Signals(number), time.monotonic()
        if self._holds:
            self._say(f"{name}: finishing the step under way and saving; a second signal ends at once")
        else:
            self._say(f"{name}: ending; no step has been made since the start, so nothing is lost")
            raise SystemExit(128 + number)

    def _say(self, text: str) -> None:
        """Past Python's files, which may be in use by whatever the signal has interrupted."""
        if self._world.is_first:
            with suppress(OSError):
                os.write(2, f"\n{text}\n".encode())
