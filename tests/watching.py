"""What reading a file must not do, as the interpreter reports it: start programs, connect, write or remove files."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "pty.")
NETWORK = ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "urllib.")
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
           "shutil.")  # fmt: skip
CODE = ("exec", "compile", "import", "ctypes.", "pickle.find_class", "marshal.")
DEEDS = PROGRAMS + NETWORK + CHANGES
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
NO_FILES = {os.devnull}  # what may be opened for writing

Judge = Callable[[str, tuple], bool]


class Watch:
    """Counts, while it is on, the events whose names begin with one of `deeds`, and files opened for writing.

    `allows(event, arguments)`: what may be done nevertheless. A process keeps every one that it makes for good, and
    asks all of them at every event: make few.
    """

    def __init__(self, deeds: tuple[str, ...] = DEEDS, allows: Judge = lambda *event: False):
        self.is_on, self.seen = False, Counter[str]()
        self._deeds, self._allows = deeds, allows
        sys.addaudithook(self._hook)  # there is no way to remove it

    def _hook(self, event: str, arguments: tuple) -> None:
        if self.is_on and (event.startswith(self._deeds) or _writes(event, arguments)):
            self.is_on = False  # what the next lines do is no deed
            if not self._allows(event, arguments):
                self.seen[f"{event} {str(arguments[:1])[:80]}"] += 1
            self.is_on = True

    def taken(self) -> dict[str, int]:
        """What was seen since the last call."""
        seen, self.seen = self.seen, Counter()
        return seen

    @contextmanager
    def watching(self) -> Iterator[None]:
        """On for what is done within. Modules that are imported late leave no compiled files then."""
        compiled, sys.dont_write_bytecode, self.is_on = sys.dont_write_bytecode, True, True
        try:
            yield
        finally:
            sys.dont_write_bytecode, self.is_on = compiled, False


def _writes(event: str, arguments: tuple) -> bool:
    if event != "open" or isinstance(arguments[0], int) or arguments[0] in NO_FILES:  # a number: it is open already
        return False
    mode, flags = arguments[1], arguments[2]
    return bool(set(mode) & set("wax+")) if isinstance(mode, str) else bool((flags or 0) & WRITING)


def files_below(folder: Path) -> dict[Path, int]:
    """{path: bytes} of everything there."""
    return {path: path.lstat().st_size for path in folder.rglob("*")}
