"""Files from the web in a cache: resumed where they were cut short, checked against their digest, whole or absent."""

import errno
import hashlib
import os
import queue
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from tqdm import tqdm

from dnnlib.errors import UserError
from dnnlib.files import make_dir

try:
    import fcntl
except ImportError:  # not on Windows, where two downloads at a time are nobody's problem yet
    fcntl = None  # type: ignore[assignment]

TRIES = 3  # connections, each going on where the last one broke off
TIMEOUT = 30  # seconds without a byte
BLOCK = 1 << 16  # bytes; what came of an unfinished block is lost when a connection breaks


@dataclass(frozen=True)
class Limits:
    """When a download is given up. Times in seconds; a server that drips a byte now and then does not extend them."""

    head: float = 60  # until the head of an answer is there, with all redirections
    block: float = 60  # for every BLOCK bytes, so about 1 KiB/s is the least
    whole: float = 6 * 3600  # for all tries together; the next call goes on from there
    unknown_size: int = 4 << 30  # bytes of a file whose size was not published


LIMITS = Limits()


@dataclass(frozen=True)
class RemoteFile:
    """A published file. sha256: hexadecimal digest of what has to arrive, "" where none was published (then the length
    that the server says is all that is checked); size: in bytes, 0 where unknown. instead: what to do with a copy that
    was fetched otherwise, for messages. token: who asks, for its own server alone; refused: what the server may have
    against it, for messages."""

    name: str
    url: str
    sha256: str
    size: int
    instead: str = "name a copy with --weights"
    token: str = field(default="", repr=False)
    refused: str = ""


class Bearer(requests.auth.AuthBase):
    """Names who asks by a token; requests drops it where an answer leads on to another host."""

    def __init__(self, token: str):
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def sha256_of(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file. Raises UserError when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def fetch(file: RemoteFile, folder: Path, show_progress: bool = False, limits: Limits = LIMITS) -> Path:
    """`folder`/`file.name`, downloaded unless it is there and whole.

    What a broken or slow connection leaves is kept as NAME.part, and the next call goes on from there; an error of the
    server does not touch it. It is emptied where it turns out not to be of the published file. Without a digest, which
    alone tells whether parts belong together, the next call begins anew, and this one goes on only in a file whose
    ETag is still the same. Several processes may
    call at once: one downloads, the others wait. Raises UserError when there is no network, when `limits` are passed,
    when the disk is full, or when what arrives is not what was published.
    """
    path = folder / file.name
    if is_whole(path, file):
        return path
    part = make_dir(folder) / f"{file.name}.part"
    with _locked(part) as output:
        if is_whole(path, file):  # another process was faster
            return path
        if not file.sha256:
            output.truncate(0)
        if not (file.sha256 and part.stat().st_size == file.size and is_whole(part, file)):
            _download(file, output, path, show_progress, limits)
        if file.sha256 and sha256_of(part) != file.sha256:
            output.truncate(0)
            raise UserError(f"{file.url} is not the published file (its SHA-256 is another); {_by_hand(file, path)}")
        os.fsync(output.fileno())
        part.replace(path)
    return path


def is_whole(path: Path, file: RemoteFile) -> bool:
    """Whether `path` is there and has the digest of `file`."""
    return path.is_file() and (not file.sha256 or sha256_of(path) == file.sha256)


@contextmanager
def _locked(part: Path) -> Iterator[RawIOBase]:
    """The partial file, open for appending, by one process at a time."""
    with part.open("ab", buffering=0) as output:
        if fcntl is not None:
            fcntl.flock(output, fcntl.LOCK_EX)
        yield output


def _download(file: RemoteFile, output: RawIOBase, path: Path, show_progress: bool, limits: Limits) -> None:
    trouble: Exception | None = None
    with tqdm(desc=file.name, total=file.size or None, unit="B", unit_scale=True, delay=1, leave=False,
              disable=not show_progress) as bar:  # fmt: skip
        transfer = _Transfer(file, output, bar, limits)
        for _ in range(TRIES):
            try:
                return transfer.go_on()
            except requests.RequestException as error:
                trouble = error
            except _RefusedError as error:
                to_do = file.refused or _by_hand(file, path)
                raise UserError(f"cannot download {file.name}: {error}; {to_do}") from error
            except _OtherFileError as error:
                raise UserError(f"{file.url} is not the published file ({error}); {_by_hand(file, path)}") from error
            except OSError as error:  # of the disk: those of the network are RequestExceptions
                raise UserError(f"cannot write {path}.part: {error.strerror or error}") from error
    raise UserError(f"cannot download {file.name}: {_reason(trouble)}; {_by_hand(file, path)}") from trouble


class _RefusedError(Exception):
    """The server does not give it to us; another try is of no use."""


class _OtherFileError(Exception):
    """What the server has is not the published file; another try is of no use."""


class _Transfer:
    """One file on its way into `output`, by as many answers as it takes."""

    def __init__(self, file: RemoteFile, output: RawIOBase, bar: tqdm, limits: Limits):
        self.file, self.output, self.bar, self.limits = file, output, bar, limits
        self.largest = file.size or limits.unknown_size
        self.resumes = True  # until the server turns out to be unable to
        self.version = ""  # the server's name for what it sends (ETag), where nothing else tells it from another file
        self.end = time.monotonic() + limits.whole

    def go_on(self) -> None:
        """Append what is still missing; from the beginning where the server cannot go on in the middle."""
        have = self.output.seek(0, os.SEEK_END)
        if not self.resumes or have >= self.largest or not (self.file.sha256 or self.version):
            have = 0
        patience = self._time(self.limits.head)
        with _Answer(self.file, have, self.version) as answer:
            head = answer.wait(patience, f"no answer within {patience:.3g} s")
            have = self._start(head, have)
            if have == 0:
                self.output.truncate(0)
            self.bar.update(have - self.bar.n)
            have = self._append(answer, have)
        if have < self.file.size:
            raise requests.RequestException("the connection broke off")
        if have == 0:
            raise requests.RequestException("the server sent an empty file")

    def _time(self, limit: float) -> float:
        """Seconds that may be waited now."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise requests.Timeout(f"not finished within {self.limits.whole:g} s; the next call goes on from there")
        return min(limit, left)

    def _start(self, head: requests.Response, have: int) -> int:
        """Where in the file the answer begins. Nothing is written before this has found the answer good."""
        if head.status_code == requests.codes.requested_range_not_satisfiable:
            self.resumes = False
        if head.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
            raise _RefusedError(f"the server refuses it (status {head.status_code})")
        head.raise_for_status()
        if head.headers.get("Content-Encoding", "identity") != "identity":
            raise requests.RequestException("the server sent it compressed, unasked")
        if head.status_code == requests.codes.partial and have:
            self._check_range(head.headers.get("Content-Range", ""), have)
            if self.version and head.headers.get("ETag", self.version) != self.version:
                self.resumes = False
                raise requests.RequestException("the file has changed meanwhile")
        elif head.status_code == requests.codes.ok:
            have = 0
            self.version = "" if self.file.sha256 else _strong(head.headers.get("ETag", ""))
        else:
            raise requests.RequestException(f"the server answered with status {head.status_code}")
        self._check_size(have + _number(head.headers.get("Content-Length", "")))
        return have

    def _check_range(self, text: str, have: int) -> None:
        found = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", text.strip(), re.ASCII)
        if found is None or int(found[1]) != have:
            self.resumes = False
            raise requests.RequestException(f"the server sent another part than bytes from {have}")
        if self.file.size and found[2] not in ("*", str(self.file.size)):
            raise _OtherFileError(f"it has {found[2]} bytes, not {self.file.size}")

    def _check_size(self, size: int) -> None:
        if size > self.largest:
            raise _OtherFileError(f"it has more than {self.largest} bytes")

    def _append(self, answer: "_Answer", have: int) -> int:
        """Write what arrives behind the `have` bytes; how many there are then."""
        slow = f"less than {BLOCK >> 10} KiB came in {self.limits.block:g} s"
        while (block := answer.wait(self._time(self.limits.block), slow)) is not None:
            have += len(block)
            if have > self.largest:
                self.output.truncate(0)
            self._check_size(have)
            if self.output.write(block) != len(block):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.bar.update(len(block))
        return have


class _Answer:
    """The answer to a request, received in a thread of its own: no socket option ends the wait for a server that drips.

    First comes its head (requests.Response), then blocks of bytes, at the end None. A thread that is given up ends
    with the block that it is at, or with the process.
    """

    def __init__(self, file: RemoteFile, start: int, version: str):
        self._arrived: queue.Queue[Any] = queue.Queue(maxsize=4)
        self._given_up = threading.Event()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        headers |= {"If-Range": version} if start and version else {}
        threading.Thread(target=self._receive, args=(file, headers), daemon=True).start()

    def __enter__(self) -> "_Answer":
        return self

    def __exit__(self, *_: object) -> None:
        self._given_up.set()
        while not self._arrived.empty():  # the thread may be waiting for room
            self._arrived.get()

    def wait(self, seconds: float, complaint: str) -> Any:
        """What arrives next. Raises requests.Timeout with `complaint`, or the RequestException of the connection."""
        try:
            item = self._arrived.get(timeout=seconds)
        except queue.Empty:
            raise requests.Timeout(complaint) from None
        if isinstance(item, requests.RequestException):
            raise item
        if isinstance(item, Exception):  # a redirection to nonsense can raise nearly every kind
            raise requests.RequestException(f"{type(item).__name__}: {item}") from item
        return item

    def _receive(self, file: RemoteFile, headers: dict[str, str]) -> None:
        asks, hooks = Bearer(file.token) if file.token else None, {"response": leave_redirection}
        try:
            with requests.get(
                file.url, headers=headers, auth=asks, stream=True, timeout=TIMEOUT, hooks=hooks
            ) as answer:
                self._arrived.put(answer)
                for block in answer.iter_content(BLOCK):
                    if self._given_up.is_set():
                        return
                    self._arrived.put(block)
            self._arrived.put(None)
        except Exception as error:
            self._arrived.put(error)


def leave_redirection(answer: requests.Response, **_: Any) -> None:
    """Close it before its body, of any size, is read. Raises RequestException where it leaves encryption behind."""
    if not answer.is_redirect:
        return
    answer.close()
    if is_private(answer.url) and not is_private(urljoin(answer.url, answer.headers["location"])):
        raise requests.RequestException("the server leads on to an address that is not https://")


def is_private(url: str) -> bool:
    """Whether nobody on the way can change what comes from there."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost")


def _strong(version: str) -> str:
    """An ETag by which every byte is the same; "" for another."""
    return version if re.fullmatch(r'"[\x21\x23-\x7e]{1,200}"', version) else ""


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else 0


def _reason(error: Exception | None) -> str:
    """In few words: what requests says of a refused connection is longer than a line, and servers choose words."""
    if isinstance(error, requests.ConnectionError):
        return "no network, or the server does not answer"
    return "".join(letter if letter.isprintable() else " " for letter in str(error))[:200]


def _by_hand(file: RemoteFile, path: Path) -> str:
    return f"fetch {file.url} on another machine and put it at {path}, or {file.instead}"
