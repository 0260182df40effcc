"""Pictures in a folder or zip, of any size, as they are: what two folders are compared by.

What generate.py or a training puts together of several pictures (strips, grids) is not among them, nor are animations.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from dnnlib.errors import UserError
from dnnlib.words import counted
from training.data.archives import Archive, open_archive
from training.data.image_files import DAMAGE, decode, read_header
from training.data.image_formats import OverLimit, open_image
from training.pictures.products import products


class ImageFiles:
    """Items are (image uint8 [C, H, W], None); grey or RGB, of one size or of several.

    left_out: names of the files that are not pictures of their own. Raises UserError when there are no pictures at
    `path`, or, on reading an item, when one is damaged or of a kind
    that is not compared (with transparency or 16 bits a channel).
    """

    mirror = False
    label_dim = 0  # pictures in a folder have no labels

    def __init__(self, path: str | Path):
        self._archive = open_archive(path)
        self.path, self.name = str(path), Path(path).stem
        names = self._archive.image_names()
        self.left_out = sorted({*products([*self._archive.names]), *_animations(self._archive, names)} & {*names})
        self.image_names = [name for name in names if name not in {*self.left_out}]
        if not self.image_names:
            raise UserError(f"{path} holds grids and strips of pictures only; give a folder of pictures, one a file")

    def __len__(self) -> int:
        return len(self.image_names)

    def get_label(self, index: int) -> np.ndarray:
        """None there is: [0]."""
        return np.zeros(0, np.float32)

    def __getitem__(self, index: int) -> tuple[np.ndarray, None]:
        name = self.image_names[index]
        return decode(self._archive.read(name), self._archive.where(name)).copy(), None

    def remarks(self) -> list[str]:
        """What whoever measures these files should know: which are left out, and whether they differ in size."""
        remarks = []
        if self.left_out:
            shown = ", ".join(self.left_out[:3]) + (", ..." if len(self.left_out) > 3 else "")
            remarks.append(f"{self.path}: left out {len(self.left_out)} that are no single pictures: {shown}")
        kinds = Counter(map(self._kind, self.image_names))
        if len(kinds) > 1:
            (usual, count), *others = kinds.most_common()
            more = f"{len(self) - count} of {len(others)} other sizes or kinds"
            remarks.append(f"{self.path}: {counted(count, 'picture')} of {usual}, {more}")
        return remarks

    def _kind(self, name: str) -> str:
        """Such as "32x32 RGB"."""
        with self._archive.open(name) as file:
            header = read_header(file, self._archive.where(name))
        return f"{header.width}x{header.height} {'grey' if header.channels == 1 else 'RGB'}"

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


def _animations(archive: Archive, names: Sequence[str]) -> Iterator[str]:
    """GIFs of several frames. A damaged one is left for whoever decodes it to complain of."""
    for name in names:
        if name.lower().endswith(".gif"):
            try:
                with archive.open(name) as file, open_image(file, name) as picture:
                    if getattr(picture, "n_frames", 1) > 1:
                        yield name
            except (*DAMAGE, OverLimit):
                continue
