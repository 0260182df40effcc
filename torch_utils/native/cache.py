"""Where builds are kept: one folder for each device, toolchain and state of the sources.

    ~/.cache/steergan/native/<device>-<what it runs with>-<sources>-<what made it>/
        steergan_<device>.so    the library; whole, or not there
        build.log               what the compiler said
        failed.json             why the last attempt failed, and when
        lock                    held while somebody builds
        work-*/                 a build in progress, or one whose process was killed
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dnnlib.cache import cache_dir
from dnnlib.files import write_json
from torch_utils.native import levels
from torch_utils.native.toolchain import Device, Toolchain, ToolError, digest, runtime_digest

try:
    import fcntl
except ImportError:  # no such locks on Windows; finished libraries are renamed into place, so nothing breaks without
    fcntl = None

SOURCES = Path(__file__).with_name("csrc")
INSTALLED = Path(__file__).with_name("prebuilt")  # libraries of an installation with STEERGAN_AOT=1
FAILURE_HOURS = 24  # a failed build is not tried again for so long, unless asked for


def source_files(device: Device) -> list[Path]:
    """What is compiled for a device."""
    kernels = sorted(SOURCES.glob("*_cpu.cpp" if device == "cpu" else "*.cu"))
    return [SOURCES / "bindings.cpp", *kernels]


def sources_digest() -> str:
    """Changes with every change of a source or header."""
    return digest(*((path.name, path.read_bytes()) for path in sorted(SOURCES.iterdir())))


def slot_prefix(device: Device, level: str) -> str:
    """What the folders of all libraries of a build level that would run here begin with."""
    return f"{device}-{runtime_digest(device, level)}-{sources_digest()}"


def finished(device: Device) -> Path | None:
    """A library that runs here, whatever compiled it: the newest in the cache and of those installed with the package.

    Of the level that is asked for; where none is, of the one with most instructions. Raises ToolError when a level
    is asked for that there is not, or not here.
    """
    asked = levels.asked()
    for level in levels.usable() if asked is None else [asked]:
        pattern = f"{slot_prefix(device, level)}-*/steergan_{device}.so"
        found = [path for root in (cache_dir() / "native", INSTALLED) for path in root.glob(pattern)]
        if found:
            return max(found, key=lambda path: path.stat().st_mtime)
    return None


class Slot:
    """The folder of one build."""

    def __init__(self, folder: Path, device: Device):
        self.folder = folder
        self.library = folder / f"steergan_{device}.so"
        self.log = folder / "build.log"
        self._failure = folder / "failed.json"

    @staticmethod
    def of(toolchain: Toolchain) -> "Slot":
        name = f"{slot_prefix(toolchain.device, toolchain.level)}-{digest(toolchain)}"
        return Slot(cache_dir() / "native" / name, toolchain.device)

    def make(self) -> None:
        """Create the folder. Raises ToolError when that is impossible."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise ToolError(
                f"cannot write to the cache {self.folder}: {error.strerror}",
                "make it writable, or name another place with STEERGAN_CACHE",
            ) from None

    def recent_failure(self) -> str | None:
        """Why the last attempt failed, when it is not long ago."""
        try:
            failure = json.loads(self._failure.read_text())
            return failure["cause"] if time.time() - failure["time"] < FAILURE_HOURS * 3600 else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note_failure(self, cause: str) -> None:
        write_json(self._failure, {"cause": cause, "time": time.time()})

    def forget_failure(self) -> None:
        self._failure.unlink(missing_ok=True)

    @contextmanager
    def lock(self, limit: float) -> Iterator[None]:
        """Hold the folder. The system gives the lock back when a process ends, however it ends.

        Raises ToolError when another process holds it for more than `limit` seconds.
        """
        handle = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR, 0o666)
        try:
            if fcntl is not None:
                _wait_for(handle, limit, self.folder)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """An empty folder to build in; call it with the lock held. Also clears what killed builds have left."""
        for left in self.folder.glob("work-*"):
            shutil.rmtree(left, ignore_errors=True)
        work = Path(tempfile.mkdtemp(dir=self.folder, prefix="work-"))
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _wait_for(handle: int, limit: float, folder: Path) -> None:
    end = time.monotonic() + limit
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise ToolError(
                    f"another process has been building in {folder} for more than {limit:g} s",
                    "wait for it or end it, then run: python -m torch_utils.ops build",
                ) from None
            time.sleep(0.1)
        except OSError:  # a file system without locks: two builds side by side, the last one stays
            return None
