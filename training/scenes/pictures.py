"""Pictures to make scenes from: in a folder, in a zip archive, or in catalogs of furniture (.sh3f)."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from dnnlib.errors import UserError
from training.data.archives import Archive, FolderArchive, ZipArchive
from training.scenes.furniture import ENDING, read_catalog


class Picture(NamedTuple):
    """One picture: its name, which --include and --exclude look at, what it shows, and how it is opened."""

    name: str
    kind: str
    open: Callable[[], AbstractContextManager[BinaryIO]]


def list_pictures(path: Path, option: str) -> list[Picture]:
    """Of a folder (catalogs in it count, too), a zip archive or a catalog. Raises UserError for anything else."""
    if path.is_dir():
        archive = FolderArchive(path)
        catalogs = [path / name for name in archive.names if name.endswith(ENDING)]
        return [*_of_archive(archive), *(picture for catalog in catalogs for picture in _of_catalog(catalog))]
    if path.is_file() and path.suffix == ENDING:
        return _of_catalog(path)
    if path.is_file() and path.suffix.lower() == ".zip":
        return _of_archive(ZipArchive(path))
    raise UserError(f"{option} {path} is not a folder, a .zip archive or a {ENDING} file")


def _of_archive(archive: Archive) -> list[Picture]:
    return [_picture(archive, name, name, Path(name).stem) for name in archive.images]


def _of_catalog(path: Path) -> list[Picture]:
    """Named by file, category and name, such as KatorLegaz/Bathroom/Sink."""
    archive = ZipArchive(path)
    named: dict[str, Picture] = {}
    for piece in read_catalog(archive):
        name = f"{path.stem}/{piece.category or 'none'}/{piece.name}"
        name = name if name not in named else f"{name} ({piece.picture})"
        named[name] = _picture(archive, piece.picture, name, piece.name)
    return list(named.values())


def _picture(archive: Archive, entry: str, name: str, kind: str) -> Picture:
    return Picture(name, kind, lambda: archive.open(entry))
