"""Folders and zip files as flat lists of named files, readable from any process."""

import json
import os
import re
import unicodedata
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

from dnnlib.errors import UserError, printable
from training.data.bounded import TooLong, read_at_most
from training.data.image_files import DAMAGE, reason
from training.data.image_formats import Limits
from training.data.listing import (
    HEAD,
    check_is_plain,
    is_hidden,
    is_image_head,
    is_image_name,
    list_folder,
    may_be_image,
    passed_over,
)

METADATA = "dataset.json"
METADATA_LIMIT = 1 << 29  # bytes
_BYTES_PER_PIXEL = 8  # more than any file needs

_ENCRYPTED = 0x1  # in a zip entry's flags


class Archive:
    """Named files below a path. `names` are relative, with forward slashes, sorted; `others` cannot be read."""

    path: Path
    names: list[str]
    others: dict[str, list[str]]

    def open(self, name: str) -> BinaryIO:
        """Open one file for reading bytes."""
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        """All bytes of one image file. Raises TooLong when there are more than any picture within the limits has."""
        with self.open(name) as file:
            return read_at_most(file, _BYTES_PER_PIXEL * Limits.current().pixels)

    def check_unchanged(self) -> None:
        """Raises UserError when the archive as a whole has vanished, or changed since it was opened."""
        raise NotImplementedError

    def where(self, name: str) -> str:
        """How to name one file in a message."""
        return f"{self.path}/{printable(name)}"

    def image_names(self) -> list[str]:
        """`images`. Raises UserError when there are none."""
        if not self.images:
            remark = f" ({self.note})" if self.note else ""
            raise UserError(f"{self.path} holds no image files (png, jpg, webp, ...){remark}")
        return self.images

    @cached_property
    def note(self) -> str | None:
        """One line about what is passed over; None when all files are images."""
        images = set(self.images)
        others = [name for name in self.names if name not in images and not is_hidden(name)]
        return passed_over([name for name in others if name.split("/")[-1] != METADATA], self.others)

    @cached_property
    def metadata_name(self) -> str | None:
        """The dataset.json that counts: the one in the outermost folder that holds all images; None without one."""
        found = sorted((name for name in self.names if name.split("/")[-1] == METADATA), key=lambda n: n.count("/"))
        holds_all = (n for n in found if all(image.startswith(n.removesuffix(METADATA)) for image in self.images))
        return next(holds_all, None)

    def metadata(self) -> dict[str, Any] | None:
        """The contents of dataset.json; None when there is none. Raises UserError when it cannot be read."""
        self._check_metadata_is_file()
        if self.metadata_name is None:
            return None
        where = self.where(self.metadata_name)
        try:
            with self.open(self.metadata_name) as file:
                content = json.loads(read_at_most(file, METADATA_LIMIT))  # labels are checked by name later
        except UserError:
            raise
        except TooLong as error:
            raise UserError(f"{where} is too long: {error}") from error
        except RecursionError as error:
            raise UserError(f"{where} is not valid JSON: it is nested too deep") from error
        except DAMAGE as error:
            raise UserError(f"{where} is not valid JSON: {reason(error)}") from error
        if not isinstance(content, dict):
            raise UserError(f"{where} must be a JSON object with an entry \"labels\"")
        return content

    def in_metadata(self, name: str) -> str:
        """What dataset.json calls a file: its name from there on, in the form of `plain_name`."""
        folder = (self.metadata_name or "").removesuffix(METADATA)
        return plain_name(name.removeprefix(folder))

    @cached_property
    def images(self) -> list[str]:
        """The files that are images, by their names or by how they begin."""
        return [name for name in self.names if is_image_name(name) or self._looks_like_image(name)]

    def _looks_like_image(self, name: str) -> bool:
        if not may_be_image(name):
            return False
        try:
            with self.open(name) as file:
                return is_image_head(file.read(HEAD))
        except DAMAGE:
            return False

    def _check_metadata_is_file(self) -> None:
        for what, names in self.others.items():
            if METADATA in names:
                raise UserError(f"{self.where(METADATA)} is no file that can be read ({what}); repair or remove it")


class FolderArchive(Archive):
    """All files below a folder, sub-folders included."""

    def __init__(self, path: Path):
        self.path = path
        listing = list_folder(path)
        self.names, self.others = listing.files, listing.others

    def open(self, name: str) -> BinaryIO:
        return (self.path / name).open("rb")

    def check_unchanged(self) -> None:
        if not self.path.is_dir():
            raise _vanished(self.path)


class ZipArchive(Archive):
    """All files in a zip. Each process opens it for itself: a shared file position would mix up reads."""

    def __init__(self, path: Path):
        self.path = path
        self._file: zipfile.ZipFile | None = None
        self._owner = 0
        self._stamp: tuple[int, int] | None = None  # size and time of the file that `names` are from
        # Some programs write backslashes into zips, and "./" in front; files are opened by what is stored.
        stored = [info.filename for info in self._zip().infolist() if not info.filename.endswith(("/", "\\"))]
        self.names, self.others = sorted({_with_slashes(name) for name in stored}), {}
        self._stored = {_with_slashes(name): name for name in stored if _with_slashes(name) != name}
        self._stamp = self._stamp_now()

    def open(self, name: str) -> BinaryIO:
        archive, stored = self._zip(), self._stored.get(name, name)
        if archive.getinfo(stored).flag_bits & _ENCRYPTED:
            raise UserError(f"{self.where(name)} is encrypted; unpack it with its password, and give the folder")
        return cast(BinaryIO, archive.open(stored))

    def check_unchanged(self) -> None:
        if self._stamp is None:
            return
        now = self._stamp_now()
        if now is None:
            raise _vanished(self.path)
        if now != self._stamp:
            raise UserError(
                f"{self.path} has been changed while it was in use ({self._stamp[0]} bytes before, {now[0]} now); "
                "restore it and give the command again"
            )

    def _stamp_now(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns

    def _zip(self) -> zipfile.ZipFile:
        if self._file is None or self._owner != os.getpid():
            try:
                self._file, self._owner = zipfile.ZipFile(self.path), os.getpid()
            except DAMAGE as error:
                self.check_unchanged()
                why = reason(error)
                raise UserError(f"{self.path} cannot be read as a zip archive ({why}); is it complete?") from error
        return self._file

    def __getstate__(self):
        return {**self.__dict__, "_file": None}


def plain_name(name: str) -> str:
    """A file's name for comparisons: forward slashes, no "./", accents as one character with their letter."""
    return unicodedata.normalize("NFC", _with_slashes(name))


def _with_slashes(name: str) -> str:
    if "\\" not in name and "./" not in name and "//" not in name and not name.startswith("/"):
        return name
    return "/".join(part for part in re.split(r"[\\/]+", name) if part not in ("", "."))


def _vanished(path: Path) -> UserError:
    return UserError(f"{path} has vanished while it was in use; bring it back and give the command again")


def open_archive(path: str | Path) -> Archive:
    """The folder or zip at `path`. Raises UserError when it is missing or something else."""
    path = Path(path)
    if path.is_dir():
        if (path / "data.mdb").exists():
            raise UserError(f"{path} is an LMDB database; convert it first: dataset_tool.py --source={path} --dest=...")
        return FolderArchive(path)
    if not path.exists():
        raise UserError(f"there is no data set at {path}; give a zip archive or a folder of images")
    check_is_plain(path)
    if path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
        raise UserError(f"{path} is neither a zip archive nor a folder; dataset_tool.py can convert other formats")
    return ZipArchive(path)
