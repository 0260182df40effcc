"""Files from the web in a cache: resumed where they were cut short, checked against their digest, whole or absent."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import requests
from tqdm import tqdm

from dnnlib.errors import UserError
from dnnlib.files import make_dir

try:
    import fcntl
except ImportError:  # not on Windows, where two downloads at a time are nobody's problem yet
    fcntl = None

TRIES = 3  # connections, each going on where the last one broke off
TIMEOUT = 30  # seconds without an answer
BLOCK = 1 << 16  # bytes; what came of an unfinished block is lost when a connection breaks


@dataclass(frozen=True)
class RemoteFile:
    """A published file. sha256: hexadecimal digest of what has to arrive; size: in bytes, for the progress bar."""

    name: str
    url: str
    sha256: str
    size: int


def sha256_of(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file. Raises UserError when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def fetch(file: RemoteFile, folder: Path, show_progress: bool = False) -> Path:
    """`folder`/`file.name`, downloaded unless it is there and whole.

    What a broken connection leaves is kept as NAME.part, and the next call goes on from there. Several processes may
    call at once: one downloads, the others wait. Raises UserError when there is no network, or when what arrives is
    not what was published.
    """
    path = folder / file.name
    if is_whole(path, file):
        return path
    part = make_dir(folder) / f"{file.name}.part"
    with _locked(part) as output:
        if is_whole(path, file):  # another process was faster
            return path
        _download(file, output, path, show_progress)
        if sha256_of(part) != file.sha256:
            output.truncate(0)
            raise UserError(f"{file.url} is not the published file (its SHA-256 is another); {_by_hand(file, path)}")
        os.fsync(output.fileno())
        part.replace(path)
    return path


def is_whole(path: Path, file: RemoteFile) -> bool:
    """Whether `path` is there and has the digest of `file`."""
    return path.is_file() and sha256_of(path) == file.sha256


@contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    """The partial file, open for appending, by one process at a time."""
    with part.open("ab") as output:
        if fcntl is not None:
            fcntl.flock(output, fcntl.LOCK_EX)
        yield output


def _download(file: RemoteFile, output: BinaryIO, path: Path, show_progress: bool) -> None:
    trouble: Exception | None = None
    size, shown = file.size or None, {"unit": "B", "unit_scale": True, "delay": 1, "leave": False}
    with tqdm(desc=file.name, total=size, disable=not show_progress, **shown) as bar:
        for _ in range(TRIES):
            try:
                return _continue(file, output, bar)
            except requests.RequestException as error:
                trouble = error
    raise UserError(f"cannot download {file.name}: {_reason(trouble)}; {_by_hand(file, path)}") from trouble


def _continue(file: RemoteFile, output: BinaryIO, bar: tqdm) -> None:
    """Append what is still missing; from the beginning where the server cannot go on in the middle."""
    have = output.seek(0, os.SEEK_END)
    headers = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(file.url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if have and answer.status_code != requests.codes.partial:
            output.truncate(0)
            have = 0
        if answer.status_code == requests.codes.requested_range_not_satisfiable:  # more than the whole was there
            raise requests.RequestException("the part kept from an earlier download was of no use")
        answer.raise_for_status()
        bar.update(have - bar.n)
        for block in answer.iter_content(BLOCK):
            output.write(block)
            bar.update(len(block))
    output.flush()
    if output.tell() < file.size:
        raise requests.RequestException("the connection broke off")


def _reason(error: Exception | None) -> str:
    """In few words: what requests says of a refused connection is longer than a line."""
    if isinstance(error, requests.ConnectionError):
        return "no network, or the server does not answer"
    return str(error)


def _by_hand(file: RemoteFile, path: Path) -> str:
    return f"fetch {file.url} on another machine and put it at {path}, or name a copy with --weights"
