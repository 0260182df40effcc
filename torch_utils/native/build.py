"""Building the native operators: at most once, in limited time, by one process at a time."""

import contextlib
import errno
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

from dnnlib.errors import FULL, UserError, as_user_error
from dnnlib.parsing import real
from torch_utils.native.cache import Slot, source_files
from torch_utils.native.integrity import publish
from torch_utils.native.toolchain import CUDA_FLAGS, Toolchain, ToolError

LIMIT = 600  # seconds; STEERGAN_BUILD_TIMEOUT sets another
DAY = 24 * 3600  # seconds, the highest limit
LOG_READ = 1 << 20  # characters of a log that are searched for a compiler's complaint
DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
GRACE = 3.0  # seconds between asking a compiler to end and ending it
RETRY = "then run: python -m torch_utils.ops build"


def time_limit() -> float:
    """Seconds that a build, and the wait for another process's build, may take.

    Raises ToolError when STEERGAN_BUILD_TIMEOUT is no number of seconds from 1 to a day.
    """
    text = os.environ.get("STEERGAN_BUILD_TIMEOUT") or str(LIMIT)
    try:
        limit = real(text)
    except ValueError:
        limit = math.nan
    if not 1 <= limit <= DAY:
        raise ToolError(
            f"STEERGAN_BUILD_TIMEOUT={text!r:.60} is no number of seconds", f"set it to 1 to {DAY}, or unset it"
        )
    return limit


def build(toolchain: Toolchain, retry: bool = False) -> Path:
    """The library for a toolchain, from the cache where it is there and whole.

    A build that failed lately is tried again only with `retry`. Raises ToolError when there is no library, also when
    somebody else can have put one there.
    """
    slot = Slot.of(toolchain)
    if slot.finished():
        return slot.library
    limit = time_limit()
    slot.make()
    with slot.lock(limit):
        if not slot.finished():  # another process may have been faster
            _build(toolchain, slot, limit, retry)
    return slot.library


def _build(toolchain: Toolchain, slot: Slot, limit: float, retry: bool) -> None:
    failure = None if retry else slot.recent_failure()
    if failure is not None:
        raise ToolError(f"the last build failed: {failure}", f"see {slot.log}; {RETRY}")
    why = f"; {slot.library} is damaged" if slot.library.exists() else ""
    print(f"steergan: building native operators for {toolchain.device} (once, about a minute){why}", file=sys.stderr)
    try:
        _compile(toolchain, slot, limit)
    except ToolError as error:
        slot.note_failure(error.cause)
        raise
    slot.forget_failure()


def _compile(toolchain: Toolchain, slot: Slot, limit: float) -> None:
    try:
        with slot.workplace() as work:
            _compile_in(work, toolchain, slot, limit)
            publish(work / slot.library.name, slot.library)
    except (OSError, UserError) as error:
        number = error.errno if isinstance(error, OSError) else None
        cure = "make room there" if number in FULL else "give access to it" if number in DENIED else "mend that"
        raise ToolError(f"cannot build in {slot.folder}: {as_user_error(error) or error}", f"{cure}; {RETRY}") from None


def _compile_in(work: Path, toolchain: Toolchain, slot: Slot, limit: float) -> None:
    arguments = work / "arguments.json"
    arguments.write_text(json.dumps(_arguments(toolchain, work)))
    script = Path(__file__).with_name("compile_extension.py")
    command = [sys.executable, "-P", str(script), str(arguments)]
    status = run_limited(command, slot.log, limit, _environment(toolchain))
    if status != 0:
        raise ToolError(f"compiling failed: {_complaint(slot.log)}", f"see {slot.log}; {RETRY}")


def _arguments(toolchain: Toolchain, work: Path) -> dict:
    on_gpu = toolchain.device == "cuda"
    return {
        "name": f"steergan_{toolchain.device}",
        "sources": [str(path) for path in source_files(toolchain.device)],
        "extra_cflags": [*toolchain.flags, *(["-DSTEERGAN_CUDA"] if on_gpu else [])],
        "extra_cuda_cflags": list(CUDA_FLAGS) if on_gpu else None,
        "extra_ldflags": [flag for flag in toolchain.flags if flag == "-fopenmp"],
        "build_directory": str(work),
        "with_cuda": on_gpu,
    }


def _environment(toolchain: Toolchain) -> dict[str, str]:
    chosen = {"CXX": toolchain.compiler, "MAX_JOBS": os.environ.get("MAX_JOBS", str(os.cpu_count() or 1))}
    chosen["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])  # ninja
    if toolchain.nvcc is not None:
        chosen["CUDA_HOME"] = str(Path(toolchain.nvcc).parents[1])
        chosen["TORCH_CUDA_ARCH_LIST"] = " ".join(toolchain.architectures)
    return os.environ | chosen


def run_limited(command: list[str], log: Path, limit: float, environment: dict[str, str]) -> int:
    """Run a command with all it starts in a session of its own; returns its status.

    Output goes to `log`: a pipe could be held open by something that outlives the command. Raises ToolError when the
    command is not done after `limit` seconds; the whole session is ended then, as it is when we are interrupted.
    """
    log.unlink(missing_ok=True)
    with log.open("x") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, env=environment
        )
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            raise ToolError(
                f"the compiler was not done after {limit:g} s",
                f"see {log}; a longer time: STEERGAN_BUILD_TIMEOUT=seconds; {RETRY}",
            ) from None
        finally:
            if process.poll() is None:
                _end_session(process)


def _end_session(process: subprocess.Popen) -> None:
    """First the polite way, which lets ninja end its compilers, then the other."""
    members = {process.pid} | set(_session_members(process.pid))
    _signal(members, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    _signal(members | set(_session_members(process.pid)), signal.SIGKILL)
    process.wait()


def _session_members(session: int) -> list[int]:
    """Processes of a session, as far as /proc tells: ninja gives each compiler a process group of its own."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        if int(fields[3]) == session:
            members.append(int(stat.parent.name))
    return members


def _signal(processes: set[int], what: signal.Signals) -> None:
    for process in processes:
        try:
            os.kill(process, what)
        except ProcessLookupError:
            continue


def _complaint(log: Path) -> str:
    """The line of a compiler's output that says most."""
    with log.open(errors="replace") as file:
        lines = [line.strip() for line in file.read(LOG_READ).splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() and "Error building extension" not in line]
    chosen = next(iter(telling), lines[-1] if lines else "no output")
    return chosen[:200]
