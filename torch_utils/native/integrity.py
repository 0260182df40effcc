"""Whether a library may be loaded: it is whole, and nobody else can have put it there.

Loading a library runs it. So it, its digest and the folders they are in must belong to this user or to root, and be
writable by no group and nobody else; the folders above must not let everybody rename what is in them. A library that
was installed with the package may also belong to whoever installed the package.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from dnnlib.downloads import sha256_of
from dnnlib.errors import UserError
from dnnlib.files import sync
from dnnlib.json_files import read_bytes
from torch_utils.native.errors import ToolError

OTHERS = stat.S_IWGRP | stat.S_IWOTH
CURE = "set STEERGAN_CACHE to a folder of your own"


@dataclass(frozen=True)
class Trust:
    """Who may own what is loaded, and who else may write to it (bits of a mode)."""

    owners: frozenset[int]
    writers: int = 0


def own() -> Trust:
    """This user and root, nobody else: for the cache."""
    return Trust(frozenset({0, _user()}))


def of_package() -> Trust:
    """Those who can write this file can run what they like anyway: for libraries installed beside it."""
    info = Path(__file__).stat()
    return Trust(frozenset({0, _user(), info.st_uid}), info.st_mode & OTHERS)


def digest_file(library: Path) -> Path:
    """Where the SHA-256 of a library is kept: beside it."""
    return library.with_name(f"{library.name}.sha256")


def publish(library: Path, place: Path) -> None:
    """Move a finished library to `place`, with its digest beside it: whole or not at all, on the disk.

    The digest comes first; until the library follows, the two do not fit, and an older library counts as damaged.
    Raises OSError, or UserError when the library cannot be read.
    """
    digest = digest_file(library)
    digest.write_text(f"{sha256_of(library)}\n", encoding="ascii")
    for source, target in ((digest, digest_file(place)), (library, place)):
        source.chmod(0o644)  # whatever the umask
        sync(source)
        source.replace(target)
        sync(target.parent)


def is_whole(library: Path) -> bool:
    """Whether a library is a regular file with the digest that is kept beside it."""
    try:
        kept = read_bytes(digest_file(library), limit=100).decode("ascii", "replace").strip()
        return stat.S_ISREG(library.lstat().st_mode) and sha256_of(library) == kept
    except (OSError, UserError):
        return False


def check_library(library: Path, top: Path, trust: Trust) -> None:
    """Raises ToolError when somebody else can have put a library, or its digest, below the folder `top`."""
    check_folders(library.parent, top, trust)
    for path in (library, digest_file(library)):
        _check(path, trust)


def check_folders(folder: Path, top: Path, trust: Trust) -> None:
    """Raises ToolError when somebody else can write to `folder` or one up to `top`, or replace one above."""
    folder, top = folder.absolute(), top.absolute()
    for path in (folder, *folder.parents):
        _check_link(path)
        if path == top or top in path.parents:
            _check(path, trust)
    for path in Path(os.path.realpath(folder)).parents:
        _check_above(path)


def _check(path: Path, trust: Trust) -> None:
    """What a link leads to counts; the link itself is checked by `_check_link`."""
    info = _info(path)
    if info is None:
        return
    if info.st_uid not in trust.owners:
        raise ToolError(f"{path} belongs to another user ({info.st_uid}) and is not trusted", CURE)
    if info.st_mode & OTHERS & ~trust.writers:
        raise ToolError(f"other users may write to {path}; it is not trusted", f"chmod go-w {path}, or {CURE}")


def _check_link(path: Path) -> None:
    """A link may belong to the owner of its folder, who could replace all that is in it anyway."""
    info, around = _info(path, follow=False), _info(path.parent)
    if info is None or around is None or not stat.S_ISLNK(info.st_mode):
        return
    if info.st_uid not in {0, _user(), around.st_uid}:
        raise ToolError(f"the link {path} belongs to another user ({info.st_uid}) and is not trusted", CURE)


def _check_above(folder: Path) -> None:
    info = _info(folder)
    if info is not None and info.st_mode & stat.S_IWOTH and not info.st_mode & stat.S_ISVTX:
        raise ToolError(
            f"everybody may replace what is in {folder}; nothing below it is trusted", f"chmod o-w {folder}, or {CURE}"
        )


def _info(path: Path, follow: bool = True) -> os.stat_result | None:
    """None for what is not there or out of reach, and cannot be loaded either; and where files have no owners."""
    try:
        return os.stat(path, follow_symlinks=follow) if hasattr(os, "geteuid") else None
    except OSError:
        return None


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0

