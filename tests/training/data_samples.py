"""Small images and archives for the tests of the data tools."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(seed: int = 0, size: int | tuple[int, int] = 8, mode: str = "RGB") -> Image.Image:
    """Noise; `size` is a side or (width, height)."""
    width, height = (size, size) if isinstance(size, int) else size
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, size=(height, width, channels), dtype=np.uint8)
    return Image.frombytes(mode, (width, height), pixels.tobytes())


def encoded(image: Image.Image, format: str = "png", **options: Any) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def write_zip(path: Path, files: Mapping[str, bytes | Image.Image], metadata: Any = None) -> Path:
    """A zip of images (and other bytes), with dataset.json when there is `metadata`."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in _with_metadata(files, metadata).items():
            archive.writestr(name, content)
    return path


def write_folder(path: Path, files: Mapping[str, bytes | Image.Image], metadata: Any = None) -> Path:
    """The same as a folder."""
    for name, content in _with_metadata(files, metadata).items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return path


def _with_metadata(files, metadata):
    content = {name: encoded(file) if isinstance(file, Image.Image) else file for name, file in files.items()}
    return content if metadata is None else {**content, "dataset.json": json.dumps(metadata).encode()}
