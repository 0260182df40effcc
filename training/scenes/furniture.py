"""Catalogs of furniture: .sh3f files of Sweet Home 3D, zip archives with a rendered picture of each piece.

PluginFurnitureCatalog.properties says which entry is the picture of a piece (icon#3=...), its name and its category;
the other pictures in the archive are textures of models.
"""

import re
from pathlib import Path
from typing import NamedTuple

from dnnlib.errors import UserError
from training.data.archives import ZipArchive
from training.data.bounded import TooLong, read_at_most
from training.data.image_files import DAMAGE, reason

ENDING = ".sh3f"
_CATALOG = "PluginFurnitureCatalog.properties"
_LIMIT = 16 << 20  # bytes of a catalog
_LINE = re.compile(r"^\s*(icon|category|name)#(\d+)\s*[=:]\s*(.*?)\s*$")
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")


class Piece(NamedTuple):
    """A piece of furniture: its picture in the archive, and what the catalog calls it."""

    picture: str
    name: str
    category: str


def read_catalog(archive: ZipArchive) -> list[Piece]:
    """The pieces of a .sh3f file, in the catalog's order. Raises UserError when it has no readable catalog."""
    if _CATALOG not in archive.names:
        raise UserError(f"{archive.path} holds no {_CATALOG}; it is no catalog of furniture")
    try:
        with archive.open(_CATALOG) as file:
            text = read_at_most(file, _LIMIT).decode("latin-1")
    except (*DAMAGE, TooLong) as error:
        raise UserError(f"{archive.where(_CATALOG)} cannot be read: {reason(error)}") from error
    return _pieces(text, set(archive.names))


def _pieces(text: str, names: set[str]) -> list[Piece]:
    values: dict[int, dict[str, str]] = {}
    for match in filter(None, map(_LINE.match, text.splitlines())):
        values.setdefault(int(match[2]), {})[match[1]] = _unescaped(match[3])
    found = []
    for number in sorted(values):
        piece = values[number]
        picture = piece.get("icon", "").lstrip("/")
        if picture in names:
            found.append(Piece(picture, piece.get("name") or Path(picture).stem, piece.get("category", "")))
    return found


def _unescaped(value: str) -> str:
    """Properties files write characters beyond Latin-1 as \\uXXXX, and may have a backslash before others."""
    return re.sub(r"\\(.)", r"\1", _UNICODE.sub(lambda match: chr(int(match[1], 16)), value))
