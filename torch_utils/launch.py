"""Start several processes of one program on this machine, by PyTorch's elastic launcher.

When one fails, all end, and the caller gets the error of the one that failed first.
"""

import json
import os
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from dnnlib.errors import UserError
from torch_utils.distributed import joined

GRACE = 120  # seconds a process has, when asked to end, to finish its step and save


def launch(function: Callable[..., None], procs: int, device: str, *args: Any) -> None:
    """Call function(*args) in `procs` processes that have joined one world on `device` ("auto", "cuda", "cpu").

    One process: here. `function` and `args` have to pickle. A signal that ends this process is handed on, and this
    returns when the others have ended by themselves.

    Raises UserError where a process raised it; for any other failure, prints that process's traceback and raises
    SystemExit(1).
    """
    if procs == 1:
        with joined(device):
            function(*args)
        return
    with tempfile.TemporaryDirectory() as reports:
        try:
            elastic_launch(_settings(procs), _rank)(function, device, reports, args)
        except ChildFailedError as error:
            _explain(error.failures, _read_reports(Path(reports)))
        except SignalException:
            _explain({}, _read_reports(Path(reports)))


def _settings(procs: int) -> LaunchConfig:
    os.environ.setdefault("OMP_NUM_THREADS", "1") if procs >= (os.cpu_count() or 1) else None
    known = {field.name for field in fields(LaunchConfig)}
    grace = {"shutdown_timeout": GRACE} if "shutdown_timeout" in known else {}
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=procs,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="spawn",
        **grace,
    )


def _rank(function: Callable[..., None], device: str, reports: str, args: tuple) -> None:
    """What each process does. An error is noted with its exact time: the others fail soon after, for want of it."""
    try:
        with joined(device):
            function(*args)
    except BaseException as error:
        note = {
            "time": time.time_ns(),
            "rank": os.environ["RANK"],
            "user_error": str(error) if isinstance(error, UserError) else None,
            "traceback": traceback.format_exc(),
        }
        Path(reports, f"{note['rank']}.json").write_text(json.dumps(note))
        os._exit(1)  # without the interpreter's farewell, which may wait for the others


def _read_reports(folder: Path) -> list[dict[str, Any]]:
    """What the processes noted, the earliest first."""
    notes = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return sorted(notes, key=lambda note: note["time"])


def _explain(failures: dict[int, ProcessFailure], notes: list[dict[str, Any]]) -> None:
    """Say which process failed first, and how. A killed one left no note, and came before those that missed it."""
    killed = [rank for rank, failure in failures.items() if failure.exitcode < 0]
    if killed and len(notes) < len(failures):
        signal_name = failures[killed[0]].signal_name()
        print(f"rank {killed[0]} was killed by {signal_name}; out of memory?", file=sys.stderr)
        raise SystemExit(1)
    if not notes:
        if failures:
            print(f"rank {min(failures)} ended with status {failures[min(failures)].exitcode}", file=sys.stderr)
            raise SystemExit(1)
        return
    first = notes[0]
    if first["user_error"] is not None:
        raise UserError(first["user_error"])
    print(f"rank {first['rank']} failed first:\n{first['traceback']}", file=sys.stderr)
    raise SystemExit(1)
