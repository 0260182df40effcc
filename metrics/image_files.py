"""Pictures in a folder or zip, of any size, as they are: what two folders are compared by."""

import hashlib
import json
from functools import cached_property
from pathlib import Path

import numpy as np

from training.data.archives import open_archive
from training.data.image_files import decode


class ImageFiles:
    """Items are (image uint8 [C, H, W], None); grey or RGB, of one size or of several.

    Raises UserError when there are no pictures at `path`, or, on reading an item, when one is damaged or of a kind
    that is not compared (with transparency or 16 bits a channel).
    """

    mirror = False

    def __init__(self, path: str | Path):
        self._archive = open_archive(path)
        self.path, self.name = str(path), Path(path).stem
        self.image_names = self._archive.image_names()

    def __len__(self) -> int:
        return len(self.image_names)

    def __getitem__(self, index: int) -> tuple[np.ndarray, None]:
        name = self.image_names[index]
        return decode(self._archive.read(name), self._archive.where(name)).copy(), None

    def content_hash(self) -> str:
        """SHA-256 over the names and contents of the files."""
        return self._content_hash

    @cached_property
    def _content_hash(self) -> str:
        digest = hashlib.sha256(b"image files")
        for name in self.image_names:
            data = self._archive.read(name)
            digest.update(json.dumps([name, len(data)]).encode())
            digest.update(data)
        return digest.hexdigest()
