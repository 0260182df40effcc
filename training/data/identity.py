"""What the training data of a run was when it began, so that a change of it is noticed when the run goes on."""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dnnlib.errors import UserError
from dnnlib.files import write_json
from dnnlib.json_files import read_json
from dnnlib.words import counted
from training.data.dataset import ImageDataset
from training.data.image_files import reason

NAME = "data.json"
METADATA = "dataset.json"


def identity(dataset: ImageDataset) -> dict[str, Any]:
    """{"path", "images", "files", "contents"}: how many images are in use, and two SHA-256 digests.

    files: of the names and sizes of the images and of dataset.json, as far as labels are used. contents: of the same
    and the CRC-32 of each, which a zip file has at hand; None for a folder, which would have to be read as a whole.
    """
    names = [*dataset.image_names, *([METADATA] if dataset.label_dim else [])]
    path = Path(dataset.path)
    try:
        sizes, sums = _of_zip(path, names) if path.is_file() else (_of_folder(path, names), None)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read ({reason(error)})") from error
    return {
        "path": str(path),
        "images": len(dataset.image_names),
        "files": _digest(sizes),
        "contents": None if sums is None else _digest(sums),
    }


def compare(run_dir: Path, dataset: ImageDataset) -> str | None:
    """Note the data of a run in its directory; a line when it is not what the run has been trained on, else None.

    Raises OSError when it cannot be written.
    """
    now, before = identity(dataset), _recorded(run_dir)
    if now != before:
        write_json(run_dir / NAME, now)
    if before is None or not _differ(before, now):
        return None
    what = f"{counted(before['images'], 'image')} before, {now['images']} now"
    what = (
        what if before["images"] != now["images"] else f"{counted(now['images'], 'image')} as before, but other files"
    )
    return f"warning: the data has changed since the run was trained last ({what}; {now['path']}); going on with it"


def _differ(before: dict[str, Any], now: dict[str, Any]) -> bool:
    both = before["contents"] is not None and now["contents"] is not None
    return any(before[key] != now[key] for key in ("images", "files", *(["contents"] if both else [])))


def _recorded(run_dir: Path) -> dict[str, Any] | None:
    """What the run has noted; None where that is nothing (runs from before it), or damaged."""
    try:
        found = read_json(run_dir / NAME)
    except UserError:
        return None
    known = isinstance(found, dict) and {"path", "images", "files", "contents"} <= found.keys()
    return found if known else None


def _of_zip(path: Path, names: Iterable[str]) -> tuple[list, list]:
    with zipfile.ZipFile(path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
    known = [(name, infos[name]) for name in names if name in infos]
    sizes = [[name, info.file_size] for name, info in known]
    return sizes, [[name, info.file_size, info.CRC] for name, info in known]


def _of_folder(path: Path, names: Iterable[str]) -> list:
    return [[name, os.stat(path / name).st_size] for name in names if (path / name).is_file()]


def _digest(rows: list) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
