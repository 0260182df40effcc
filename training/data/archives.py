"""Folders and zip files as flat lists of named files, readable from any process."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from dnnlib.errors import UserError
from training.data.image_files import is_image_name

METADATA = "dataset.json"


class Archive:
    """Named files below a path. `names` are relative, with forward slashes, sorted."""

    path: Path
    names: list[str]

    def open(self, name: str) -> BinaryIO:
        """Open one file for reading bytes."""
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        """All bytes of one file."""
        with self.open(name) as file:
            return file.read()

    def check_unchanged(self) -> None:
        """Raises UserError when the archive as a whole has vanished, or changed since it was opened."""
        raise NotImplementedError

    def where(self, name: str) -> str:
        """How to name one file in a message."""
        return f"{self.path}/{name}"

    def image_names(self) -> list[str]:
        """The files that are images, by their names. Raises UserError when there are none."""
        names = [name for name in self.names if is_image_name(name)]
        if not names:
            raise UserError(f"{self.path} holds no image files (png, jpg, webp, ...)")
        return names

    def metadata(self) -> dict[str, Any] | None:
        """The contents of dataset.json; None when there is none. Raises UserError when it is not JSON."""
        if METADATA not in self.names:
            return None
        try:
            content = json.loads(self.read(METADATA))
        except ValueError as error:
            raise UserError(f"{self.where(METADATA)} is not valid JSON: {error}") from error
        if not isinstance(content, dict):
            raise UserError(f"{self.where(METADATA)} must be a JSON object with an entry \"labels\"")
        return content


class FolderArchive(Archive):
    """All files below a folder, sub-folders included."""

    def __init__(self, path: Path):
        self.path = path
        self.names = sorted(
            (Path(folder) / file).relative_to(path).as_posix()
            for folder, _, files in os.walk(path, followlinks=True)
            for file in files
        )

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
        self.names = sorted(info.filename for info in self._zip().infolist() if not info.is_dir())
        self._stamp = self._stamp_now()

    def open(self, name: str) -> BinaryIO:
        return self._zip().open(name)

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
            except (zipfile.BadZipFile, OSError) as error:
                self.check_unchanged()
                raise UserError(f"{self.path} cannot be read as a zip archive ({error}); is it complete?") from error
        return self._file

    def __getstate__(self):
        return {**self.__dict__, "_file": None}


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
    if path.suffix.lower() != ".zip" and not zipfile.is_zipfile(path):
        raise UserError(f"{path} is neither a zip archive nor a folder; dataset_tool.py can convert other formats")
    return ZipArchive(path)
