"""Start several processes of one program on this machine, by PyTorch's elastic launcher.

When one fails, all end, and the caller gets the error of the one that failed first.
"""

import json
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from dnnlib.errors import UserError, as_user_error
from dnnlib.files import write_json
from dnnlib.registry import load_plugins
from torch_utils.distributed import TIMEOUT, joined
from torch_utils.parent import is_orphan

SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE = 120  # seconds a process has, when asked to end, to finish its step and save
PER_PROCESSOR = 8  # processes that a machine is given for each of its processors, at most
LAST_WORDS = 5  # seconds that a process whose peer is gone waits before it goes, too


def launch(function: Callable[..., None], procs: int, device: str, *args: Any) -> None:
    """Call function(*args) in `procs` processes that have joined one world on `device` ("auto", "cuda", "cpu").

    One process: here. `function` and `args` have to pickle. SIGTERM and SIGINT are handed on, and this returns when the
    others have ended by themselves, which they have GRACE seconds for.

    Raises UserError where a process raised it, or where the machine is not one for so many; for any other failure,
    prints that process's traceback and raises SystemExit(1).
    """
    processors = os.cpu_count() or 1
    most = PER_PROCESSOR * processors
    if procs > most:
        raise UserError(f"{procs} processes are too many for the {processors} processors here; at most {most}")
    if procs == 1:
        with joined(device):
            function(*args)
        return
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # what failed is said below
    with tempfile.TemporaryDirectory() as reports:
        signals = _SignalsHandedOn()
        try:
            with signals:
                _in_thread(lambda: elastic_launch(_settings(procs), _rank)(function, device, reports, args))
        except ChildFailedError as error:
            _explain(error.failures, _read_reports(Path(reports)), signals.last)


def _in_thread(function: Callable[[], None]) -> None:
    """Call `function` in another thread and wait for it; what it raises is raised here.

    In the main thread the elastic launcher would take the signals for itself, and then neither look at what processes
    return nor let them go until it kills them.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="launcher") as pool:
        pool.submit(function).result()


class _SignalsHandedOn:
    """A context in which this process hands SIGTERM and SIGINT on to those that it has started."""

    def __init__(self) -> None:
        self.last: int | None = None  # the number of the last one

    def __enter__(self) -> None:
        self._last_resort: threading.Timer | None = None
        in_main = threading.current_thread() is threading.main_thread()
        self._before = {number: signal.signal(number, self._hand_on) for number in SIGNALS} if in_main else {}

    def __exit__(self, *error) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._last_resort is not None:
            self._last_resort.cancel()

    def _hand_on(self, number: int, frame: FrameType | None) -> None:
        self.last = number
        _signal_children(number)
        if self._last_resort is None:
            self._last_resort = threading.Timer(GRACE, _signal_children, [signal.SIGKILL])
            self._last_resort.daemon = True
            self._last_resort.start()


def _signal_children(number: int) -> None:
    for process in multiprocessing.active_children():
        with suppress(ProcessLookupError):
            if process.pid is not None:
                os.kill(process.pid, number)


def _settings(procs: int) -> LaunchConfig:
    os.environ.setdefault("OMP_NUM_THREADS", "1") if procs >= (os.cpu_count() or 1) else None
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=procs,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="spawn",
    )


def _rank(function: Callable[..., None], device: str, reports: str, args: tuple) -> None:
    """What each process does. An error is noted before the others can notice that this one is gone."""
    try:
        with joined(device):
            try:
                load_plugins()  # those of the process that launched this one
                function(*args)
            except SystemExit as error:  # a signal before there was anything to save
                os._exit(error.code if isinstance(error.code, int) else 1)
            except BaseException as error:
                _leave(error, Path(reports))
    except Exception as error:  # they never met, or could not part
        _leave(error, Path(reports))
    if is_orphan():
        os._exit(0)  # nobody is left to take what this returns


def _leave(error: BaseException, reports: Path) -> NoReturn:
    lost_peer = isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))
    said = as_user_error(error)
    note = {
        "time": time.time_ns(),
        "rank": os.environ["RANK"],
        "lost_peer": lost_peer,
        "waited": lost_peer and "Timed out" in str(error),
        "user_error": None if lost_peer or said is None else str(said),
        "traceback": traceback.format_exc(),
    }
    write_json(reports / f"{note['rank']}.json", note)  # whole or not there: the launcher may end this process
    if lost_peer:
        time.sleep(LAST_WORDS)  # so that the launcher sees first who was lost
    os._exit(1)  # without the interpreter's farewell, which may wait for the others


def _read_reports(folder: Path) -> list[dict[str, Any]]:
    """What the processes noted, causes before consequences."""
    notes = [json.loads(path.read_text()) for path in folder.glob("[0-9]*.json")]
    return sorted(notes, key=lambda note: (note["lost_peer"], note["time"]))


def _explain(failures: dict[int, ProcessFailure], notes: list[dict[str, Any]], asked_to: int | None = None) -> None:
    """Say which process failed first, and how. A killed one left no note, only others that miss it.

    asked_to: the signal that was handed on to them.
    """
    if asked_to is not None and any(failure.exitcode == -asked_to for failure in failures.values()):
        print(f"stopped by {signal.Signals(asked_to).name} before there was anything to save", file=sys.stderr)
        raise SystemExit(128 + asked_to)
    if notes and not notes[0]["lost_peer"]:
        first = notes[0]
        if first["user_error"] is not None:
            raise UserError(first["user_error"])
        _give_up(f"rank {first['rank']} failed first:\n{first['traceback']}")
    asked = [failure.exitcode for failure in failures.values() if failure.exitcode > 128]
    if asked and not notes:
        raise SystemExit(asked[0])  # a signal, and it was said when it came
    killed = {rank: failure for rank, failure in failures.items() if failure.exitcode < 0}
    for rank, failure in killed.items():
        hint = "; out of memory?" if failure.signal_name() == "SIGKILL" else ""
        _give_up(f"rank {rank} was killed by {failure.signal_name()}{hint}")
    for note in notes:
        what = f"waited in vain {TIMEOUT} for another one, which hangs" if note["waited"] else "lost another one"
        _give_up(f"rank {note['rank']} {what}:\n{note['traceback']}")
    for rank, failure in failures.items():
        _give_up(f"rank {rank} ended with status {failure.exitcode}")


def _give_up(text: str) -> NoReturn:
    print(text, file=sys.stderr)
    raise SystemExit(1)
