"""Where images come from: folders, zip files, LSUN's LMDB, the CIFAR-10 and MNIST archives."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from dnnlib.errors import UserError
from training.data import published_sets
from training.data.archives import FolderArchive, ZipArchive
from training.data.conditions import captions_of
from training.data.image_formats import open_image
from training.data.labels import Label, find_labels
from training.data.listing import check_is_plain
from training.data.lmdb_reader import Lmdb

KNOWN = "a folder, a .zip, an LSUN *_lmdb folder, cifar-10-python.tar.gz or *-images-idx3-ubyte.gz"


@dataclass(frozen=True)
class Source:
    """Images in a fixed order. `open(i)` gives the i-th one, its header read but not yet its pixels.

    `labels` are as long as `names`, or None; `classes` are their names, if known. `captions`: None for those without.
    `notes` are remarks for the user.
    """

    names: Sequence[str]
    open: Callable[[int], AbstractContextManager[Image.Image]]
    labels: Sequence[Label] | None = None
    classes: list[str] | None = None
    notes: tuple[str, ...] = ()
    captions: Sequence[str | None] | None = None


def open_source(path: str | Path, limit: int | None = None) -> Source:
    """The first `limit` images at `path`.

    Raises UserError when there is nothing, something unknown, or something that cannot be read there.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"--source {path} does not exist; give {KNOWN}")
    check_is_plain(path)
    return _opener(path)(path, limit)


def _opener(path: Path) -> Callable[[Path, int | None], Source]:
    if path.is_dir():
        return _lmdb if path.name.endswith("_lmdb") or (path / "data.mdb").exists() else _archive
    if path.suffix.lower() == ".zip":
        return _archive
    if path.name == "cifar-10-python.tar.gz":
        return _cifar10
    if path.name.endswith("-images-idx3-ubyte.gz"):
        return _mnist
    raise UserError(f"--source {path} is of no known kind; give {KNOWN}")


def _archive(path: Path, limit: int | None) -> Source:
    archive = FolderArchive(path) if path.is_dir() else ZipArchive(path)
    names = archive.image_names()
    labels = find_labels(archive, names)
    used = names[:limit]
    return Source(
        [archive.where(name) for name in used],
        lambda i: _decoding(lambda: archive.open(used[i]), used[i]),
        labels.of(used, str(path)) if labels.by_name else None,
        labels.classes,
        tuple(note for note in (archive.note, labels.note) if note),
        captions_of(archive, used),
    )


def _lmdb(path: Path, limit: int | None) -> Source:
    database = Lmdb(path, limit)
    names = [f"{path}/{key.decode(errors='replace')}" for key in database.keys]
    return Source(names, lambda i: _decoding(lambda: io.BytesIO(database.read(i))))


def _cifar10(path: Path, limit: int | None) -> Source:
    pixels, labels, classes = published_sets.read_cifar10(path)
    return _arrays(path, pixels[:limit], labels[:limit], classes)


def _mnist(path: Path, limit: int | None) -> Source:
    pixels, labels = published_sets.read_mnist(path)
    notes = () if labels is not None else (f"no labels: there is no {published_sets.mnist_labels_path(path)}",)
    return _arrays(path, pixels[:limit], labels[:limit] if labels is not None else None, None, notes)


def _arrays(path, pixels, labels, classes, notes=()) -> Source:
    names = [f"{path}/{i}" for i in range(len(pixels))]
    return Source(names, lambda i: Image.fromarray(pixels[i]), labels, classes, notes)


@contextmanager
def _decoding(open_file: Callable[[], BinaryIO], name: str = "") -> Iterator[Image.Image]:
    with open_file() as file, open_image(file, name) as image:
        yield image
