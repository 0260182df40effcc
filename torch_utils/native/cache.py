"""Where builds are kept: one folder for each device, toolchain and state of the sources.

    ~/.cache/steergan/native/<device>-<what it runs with>-<sources>-<what made it>/
        steergan_<device>.so    the library
        steergan_<device>.so.sha256     its digest: a library with another one is damaged, and built anew
        build.log               what the compiler said
        failed.json             why the last attempt failed, and when
        lock                    held while somebody builds
        work-*/                 a build in progress, or one whose process was killed
"""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dnnlib import cache
from dnnlib.errors import REASON, UserError, in_one_line
from dnnlib.files import write_json
from dnnlib.json_files import read_json
from torch_utils.native import integrity, levels
from torch_utils.native.toolchain import Device, Toolchain, ToolError, digest, runtime_digest

try:
    import fcntl
except ImportError:  # no such locks on Windows; finished libraries are renamed into place, so nothing breaks without
    fcntl = None  # type: ignore[assignment]

SOURCES = Path(__file__).with_name("csrc")
INSTALLED = Path(__file__).with_name("prebuilt")  # libraries of an installation with STEERGAN_AOT=1
OLD = 24 * 3600.0  # seconds; no build takes so long
FAILURE_HOURS = 24  # a failed build is not tried again for so long, unless asked for


def source_files(device: Device) -> list[Path]:
    """What is compiled for a device."""
    kernels = sorted(SOURCES.glob("*_cpu.cpp" if device == "cpu" else "*.cu"))
    return [SOURCES / "bindings.cpp", SOURCES / "autograd.cpp", *kernels]


def sources_digest() -> str:
    """Changes with every change of a source or header."""
    return digest(*((path.name, path.read_bytes()) for path in sorted(SOURCES.iterdir())))


def slot_prefix(device: Device, level: str) -> str:
    """What the folders of all libraries of a build level that would run here begin with."""
    return f"{device}-{runtime_digest(device, level)}-{sources_digest()}"


def cache_dir() -> Path:
    """The cache. Raises ToolError when there is no place for one."""
    try:
        return cache.cache_dir()
    except UserError as error:
        raise ToolError(str(error), f"set {cache.VARIABLE} to a folder of your own") from None


def finished(device: Device) -> Path | None:
    """A library that runs here, whatever compiled it: the newest in the cache and of those installed with the package.

    Of the level that is asked for; where none is, of the one with most instructions. Damaged ones, and those that
    somebody else can have put there, are passed over. Raises ToolError when a level is asked for that there is not,
    or not here.
    """
    asked = levels.asked()
    for level in levels.usable() if asked is None else [asked]:
        found = list(_libraries(device, level))
        if found:
            return max(found, key=lambda path: path.stat().st_mtime)
    return None


def _libraries(device: Device, level: str) -> Iterator[Path]:
    """Those of a level that may be loaded."""
    pattern = f"{slot_prefix(device, level)}-*/steergan_{device}.so"
    for path in map(Path.resolve, INSTALLED.glob(pattern)):  # installers may link to files kept elsewhere
        if is_sound(path, path.parent, integrity.of_package()):
            yield path
    with suppress(ToolError):  # no cache
        top = cache_dir()
        for path in (top / "native").glob(pattern):
            if is_sound(path, top, integrity.own()):
                yield path


def is_sound(library: Path, top: Path, trust: integrity.Trust) -> bool:
    """Whether a library below the folder `top` is whole and may be trusted."""
    try:
        integrity.check_library(library, top, trust)
    except ToolError:
        return False
    return integrity.is_whole(library)


class Slot:
    """The folder of one build."""

    def __init__(self, folder: Path, device: Device):
        self.folder = folder
        self.library = folder / f"steergan_{device}.so"
        self.log = folder / "build.log"
        self._failure = folder / "failed.json"
        self._lock = folder / "lock"
        self._is_alone = False  # whether the lock is held
        self._top = folder.parents[1]  # the cache itself

    @staticmethod
    def of(toolchain: Toolchain) -> "Slot":
        name = f"{slot_prefix(toolchain.device, toolchain.level)}-{digest(toolchain)}"
        return Slot(cache_dir() / "native" / name, toolchain.device)

    def make(self) -> None:
        """Create the folder, for its owner alone, and remove what is in the way of its files.

        Raises ToolError when that is impossible, or when somebody else can write to the folder or one above.
        """
        try:
            self.check()  # before anything is made there
            cache.make_own(self.folder)
            self.check()
            for path in (self.library, integrity.digest_file(self.library), self.log, self._failure, self._lock):
                _clear(path)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise ToolError(
                f"cannot write to the cache {self.folder}: {error.strerror}",
                "make it writable, or name another place with STEERGAN_CACHE",
            ) from None

    def finished(self) -> bool:
        """Whether the library is there and whole. Raises ToolError when somebody else can have put it there."""
        if not os.path.lexists(self.library):
            return False
        self.check()
        return integrity.is_whole(self.library)

    def check(self) -> None:
        """Raises ToolError when somebody else can put a library here, or has."""
        integrity.check_library(self.library, self._top, integrity.own())

    def recent_failure(self) -> str | None:
        """Why the last attempt failed, when it is not long ago."""
        try:
            failure = read_json(self._failure, limit=1 << 16)
            age = time.time() - failure["time"]
            return in_one_line(failure["cause"], REASON) if 0 <= age < FAILURE_HOURS * 3600 else None
        except (UserError, KeyError, TypeError):
            return None

    def note_failure(self, cause: str) -> None:
        """Keep why an attempt failed; on a full disk the next process finds out for itself."""
        with suppress(OSError):
            write_json(self._failure, {"cause": cause, "time": time.time()})

    def forget_failure(self) -> None:
        with suppress(OSError):
            self._failure.unlink(missing_ok=True)

    @contextmanager
    def lock(self, limit: float) -> Iterator[None]:
        """Hold the folder. The system gives the lock back when a process ends, however it ends.

        Raises ToolError when another process holds it for more than `limit` seconds.
        """
        handle = _open_lock(self._lock)
        try:
            self._is_alone = fcntl is not None and _wait_for(handle, limit, self.folder)
            yield
        finally:
            self._is_alone = False
            os.close(handle)

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """An empty folder to build in; call it with the lock held. Also clears what killed builds have left.

        Where there are no locks, that is what is older than any build takes; another process may be building.
        """
        for left in self.folder.glob("work-*"):
            with suppress(FileNotFoundError):  # another build has ended meanwhile
                if self._is_alone or time.time() - left.stat().st_mtime > OLD:
                    shutil.rmtree(left, ignore_errors=True)
        work = Path(tempfile.mkdtemp(dir=self.folder, prefix="work-"))
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _clear(path: Path) -> None:
    """Remove what is there in place of a file: a folder, a link, a FIFO. Raises OSError."""
    if not os.path.lexists(path) or stat.S_ISREG(path.lstat().st_mode):
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _open_lock(path: Path) -> int:
    flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        raise ToolError(f"cannot lock {path.parent}: {error.strerror}", f"remove {path}") from None


def _wait_for(handle: int, limit: float, folder: Path) -> bool:
    """Whether the lock is held now; False on a file system without locks: two builds side by side, the last one stays.

    Raises ToolError when another process holds it for longer than `limit` seconds.
    """
    end = time.monotonic() + limit
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                raise ToolError(
                    f"another process has been building in {folder} for more than {limit:g} s",
                    "wait for it or end it, then run: python -m torch_utils.ops build",
                ) from None
            time.sleep(0.1)
        except OSError:
            return False
