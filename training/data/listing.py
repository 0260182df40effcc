"""Which files there are below a folder, and which files are pictures."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dnnlib.errors import UserError, printable

_JPEG = {".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jp2", ".j2k", ".jpx", ".j2c", ".jpf"}
_PLAIN = {".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".icb", ".vda", ".vst"}
_SUFFIXES = {".png", ".apng", ".webp", ".avif", ".avifs"} | _JPEG | _PLAIN
_NEVER_PICTURES = {".txt", ".json", ".csv", ".tsv", ".md", ".xml", ".html", ".yaml", ".yml", ".py", ".log"}
HEAD = 16  # bytes by which a picture is known

# (offset, bytes) with which files begin: PNG, JPEG, GIF, TIFF (both orders), JPEG 2000 (both forms), AVIF.
_SIGNATURES = (
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"\xff\xd8\xff"),
    (0, b"GIF87a"),
    (0, b"GIF89a"),
    (0, b"II*\0"),
    (0, b"MM\0*"),
    (0, b"\xff\x4f\xff\x51"),
    (4, b"jP  \r\n\x87\n"),
    (4, b"ftypavif"),
)


@dataclass
class Listing:
    """Files below a folder, by relative names with forward slashes, and what else is there: {what: [name]}."""

    files: list[str] = field(default_factory=list)
    others: dict[str, list[str]] = field(default_factory=dict)

    def add_other(self, what: str, name: str) -> None:
        """Count something that cannot be read."""
        self.others.setdefault(what, []).append(name)


def list_folder(root: Path) -> Listing:
    """All regular files below `root`, sorted. Links are followed, but each folder is listed once, by its own name
    where it has one below `root`; hidden folders are left out. Raises UserError when `root` cannot be read."""
    listing, seen = Listing(), set()
    folders, links = [""], list[str]()
    while folders or links:
        name = folders.pop() if folders else links.pop(0)
        try:
            status = (root / name).stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            _list_one(root, name, listing, folders, links)
        except OSError as error:
            if not name:
                raise UserError(f"cannot read the folder {root}: {error.strerror}") from error
            listing.add_other("folders that cannot be read", name)
    listing.files.sort()
    return listing


def _list_one(root: Path, folder: str, listing: Listing, folders: list[str], links: list[str]) -> None:
    with os.scandir(root / folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{folder}/{entry.name}" if folder else entry.name
            if is_hidden(name):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
            elif entry.is_file():
                listing.files.append(name)
            elif entry.is_dir():
                links.append(name)
            else:
                listing.add_other("broken links" if entry.is_symlink() else "pipes or devices", name)


def check_is_plain(path: Path) -> None:
    """Raises UserError when `path` is neither a file nor a folder: reading a pipe or a device might never end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(f"{path} is a pipe, a socket or a device; give a file or a folder")


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder that it is in, is hidden, or is what macOS adds to zip files."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def is_image_name(name: str) -> bool:
    """Whether a file, by its name, is an image; hidden files and folders are not."""
    return not is_hidden(name) and suffix(name) in _SUFFIXES


def may_be_image(name: str) -> bool:
    """Whether a file whose name does not say that it is an image may be one."""
    return not is_hidden(name) and suffix(name) not in _NEVER_PICTURES


def is_image_head(head: bytes) -> bool:
    """Whether a file that begins with these HEAD bytes is an image, whatever its name says."""
    known = any(head[start : start + len(mark)] == mark for start, mark in _SIGNATURES)
    return known or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def suffix(name: str) -> str:
    """The ending of a file's name with its dot, in lower case."""
    return PurePosixPath(name).suffix.lower()


def passed_over(names: Sequence[str], others: dict[str, list[str]]) -> str | None:
    """One line about files that are no pictures, and about what is no file; None when there is nothing to tell."""
    endings = Counter(suffix(name) or "without an ending" for name in names)
    parts = [f"{count} {ending}" for ending, count in endings.most_common()]
    parts += [f"{what} ({len(found)})" for what, found in others.items()]
    if not parts:
        return None
    first = next(iter([*names, *(name for found in others.values() for name in found)]))
    return printable(f"passed over, as no pictures that can be read: {_shortened(parts)}; the first: {first}")


def _shortened(parts: Iterable[str], most: int = 8) -> str:
    parts = list(parts)
    more = f", and {len(parts) - most} other kinds" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more
