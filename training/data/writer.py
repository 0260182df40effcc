"""Write a data set, all or nothing: uncompressed PNG files and dataset.json, in a zip or a folder."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dnnlib.errors import UserError
from dnnlib.files import atomic_folder, atomic_path, make_dir

_OTHER_ARCHIVES = {".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"}
_IMAGES_PER_FOLDER = 1000
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same images make the same archive, byte for byte

Label = int | list[float]


class DatasetWriter:
    """Numbers images, encodes them and collects what dataset.json says about them.

    `metadata` may be filled with further entries of dataset.json ("classes", "sources", ...).
    """

    def __init__(self, save: Callable[[str, bytes], None]):
        self._save = save
        self._labels: list[list] = []
        self._scenes: dict[str, Any] = {}
        self._captions: dict[str, str] = {}
        self.metadata: dict[str, Any] = {}
        self.count = 0

    def add(
        self, pixels: np.ndarray, label: Label | None = None, scene: dict | None = None, caption: str | None = None
    ) -> str:
        """Write uint8 pixels [H, W] or [H, W, 3]; return the image's name in the data set."""
        name = f"{self.count // _IMAGES_PER_FOLDER:05d}/img{self.count:08d}.png"
        self._store(name, encode_png(pixels))
        self.count += 1
        if label is not None:
            self._labels.append([name, label])
        if scene is not None:
            self._scenes[name] = scene
        if caption is not None:
            self._captions[name] = caption
        return name

    def finish(self) -> None:
        """Write dataset.json. Labels are all or nothing: with one missing, "labels" is null."""
        complete = self.count > 0 and len(self._labels) == self.count
        content: dict[str, Any] = {"labels": self._labels if complete else None, **self.metadata}
        if self._scenes:
            content["scenes"] = self._scenes
        if self._captions:
            content["captions"] = self._captions
        self._store("dataset.json", json.dumps(content).encode())

    def _store(self, name: str, data: bytes) -> None:
        try:
            self._save(name, data)
        except OSError as error:
            raise UserError(f"cannot write {name}: {error.strerror}; is there room left?") from error


def encode_png(pixels: np.ndarray) -> bytes:
    """An uncompressed PNG file of uint8 pixels [H, W] or [H, W, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png", compress_level=0)
    return buffer.getvalue()


@contextmanager
def open_writer(dest: str | Path) -> Iterator[DatasetWriter]:
    """Yield a DatasetWriter for `dest`, a .zip file or a folder; `dest` appears when the block succeeds.

    When the block raises, nothing remains. An existing zip is replaced.
    Raises UserError for another kind of archive, a folder that already holds something,
    and a place that cannot be written to.
    """
    dest = Path(dest)
    saver = _zip_saver if dest.suffix.lower() == ".zip" else _folder_saver
    with _parent_folder(dest), saver(dest) as save:
        writer = DatasetWriter(save)
        yield writer
        writer.finish()


@contextmanager
def _parent_folder(dest: Path) -> Iterator[None]:
    """Makes the folders that `dest` needs, and removes them again when the block raises."""
    missing = [folder for folder in dest.parents if not folder.exists()]
    try:
        make_dir(dest.parent)
        yield
    except BaseException:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()
        raise


@contextmanager
def _zip_saver(dest: Path) -> Iterator[Callable[[str, bytes], None]]:
    if dest.is_dir():
        raise UserError(f"--dest {dest} is a folder; remove it, or name a file that does not exist")
    with atomic_path(dest) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        yield lambda name, data: archive.writestr(_zip_entry(name), data)


def _zip_entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=_EPOCH)
    entry.external_attr = 0o644 << 16
    return entry


@contextmanager
def _folder_saver(dest: Path) -> Iterator[Callable[[str, bytes], None]]:
    _check_folder(dest)
    with atomic_folder(dest) as temporary:
        yield lambda name, data: _save_file(temporary / name, data)


def _check_folder(dest: Path) -> None:
    if _OTHER_ARCHIVES & set(dest.suffixes):
        raise UserError(f"--dest {dest}: only .zip archives and folders can be written")
    if dest.exists() and not dest.is_dir():
        raise UserError(f"--dest {dest} is a file; name a .zip archive or a folder")
    if dest.is_dir() and any(dest.iterdir()):
        raise UserError(f"--dest {dest} already holds files; name a new or empty folder, or a .zip archive")


def _save_file(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
