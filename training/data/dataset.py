"""Training images: a zip or folder of PNG files with dataset.json, as dataset_tool.py writes them."""

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dnnlib.errors import UserError
from dnnlib.words import counted
from training.data import conditions, ground_truth, labels
from training.data.archives import open_archive
from training.data.damage import IN_A_ROW, Damage
from training.data.image_files import DamagedImage, decode, is_power_of_two, naming_damage, read_header
from training.data.loader import SampleOrder, batches

__all__ = ["ImageDataset", "SampleOrder", "batches"]

_CHECKED_HEADERS = 1024  # further images are checked when they are read
_CACHE_LIMIT = 1 << 30  # bytes
_SHOWN_NAMES = 12
_EXAMPLES, _EXAMPLE_NUMBERS = 64, 4096  # of labels that are lists of numbers, and the most numbers in all of them


class ImageDataset(torch.utils.data.Dataset):
    """Items are (image uint8 [C, H, W], label float32 [label_dim]); label_dim is 0 without `use_labels`.

    resolution: what the images must have; None: whatever they have.
    mirror: doubles the length; the second half are the same images, flipped horizontally.
    max_size: a random subset of this many images (before mirroring), chosen by `seed`.
    cache: keep decoded images in memory, provided that all together they take less than 1 GiB.
    condition: with `use_labels`, what labels are: those there are ("labels"), or rows of training/data/conditions.py.
    skip_damaged: where a file cannot be read, the item is that of the next index whose file can; `damage` counts.

    class_names: with `use_labels`, a name for each class, or for each index of a condition; None where labels are lists
    of numbers.
    notes: remarks for the user, one line each, on files passed over and on how labels are read.

    Raises UserError, on construction or on reading an item, when the archive is missing, damaged or
    empty, when an image is not an 8-bit grey or RGB square with a power-of-two side like all others,
    when labels are asked for and missing, when an image cannot be read or, with `skip_damaged`, when too many cannot.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        resolution: int | None = None,
        use_labels: bool = False,
        condition: str = "labels",
        mirror: bool = False,
        max_size: int | None = None,
        seed: int = 0,
        cache: bool = False,
        skip_damaged: bool = False,
    ):
        self._archive = open_archive(path)
        all_names = self._archive.image_names()
        found = labels.find_labels(self._archive, all_names)
        self.path = str(path)
        self.name = Path(path).stem
        self.mirror = mirror
        self.has_labels = bool(found.by_name)
        self.classes = found.classes
        by_label = use_labels and condition == "labels"
        self.notes = [note for note in (self._archive.note, found.note) if note]
        self.label_dim = labels.width(found.of(all_names, self.path)) if by_label else 0
        self.class_names = found.class_names if by_label else None
        if self.class_names is not None:
            self.class_names = self.class_names[: self.label_dim]  # the last ones may have no image here
        self.image_names = _subset(all_names, max_size, seed)
        self._labels = found.of(self.image_names, self.path) if by_label else None
        self.skip_damaged = skip_damaged
        self.damage = Damage(self.path, len(self.image_names))
        self._check_headers(resolution)
        self._cache = self._new_cache() if cache else None
        self._rows = conditions.open_rows(condition, self) if use_labels and not by_label else None
        if self._rows is not None:
            self.class_names, self.label_dim = self._rows.names, self._rows.width

    def __len__(self) -> int:
        return len(self.image_names) * (2 if self.mirror else 1)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        self._locate(index)  # for its check
        last = None
        for step in range(min(IN_A_ROW, len(self))):
            try:
                return self._item((index + step) % len(self))
            except DamagedImage as error:
                self._pass_over(index + step, error)
                last = error
        raise self.damage.hopeless(str(last))

    @property
    def resolution(self) -> int:
        """Height and width in pixels."""
        return self.image_shape[1]

    @property
    def num_channels(self) -> int:
        """1 (grey) or 3 (RGB)."""
        return self.image_shape[0]

    def get_label(self, index: int) -> np.ndarray:
        """The label of item `index`, float32 [label_dim], one-hot where labels are numbers."""
        base, _ = self._locate(index)
        if self._rows is not None:
            return self._rows.row(index)
        if self._labels is None:
            return np.zeros(0, dtype=np.float32)
        return labels.vector(self._labels[base], self.label_dim)

    def label_facts(self) -> tuple[int, tuple[str, ...], tuple[tuple[float, ...], ...]]:
        """label_dim, class_names and label_examples as a configuration records them (see DataConfig)."""
        names = self.class_names or []
        named = names != [str(number) for number in range(len(names))]
        return self.label_dim, tuple(names) if named else (), tuple(map(tuple, self._label_examples()))

    def remarks(self) -> list[str]:
        """Lines for the user: `notes`, and which classes there are, or words of captions."""
        names, what = self.class_names or [], ("class", "classes")
        if names and not names[0]:  # of captions: what stands after the last word
            names, what = names[1:], ("word", "words")
        more = f", ... {names[-1]}" if len(names) > _SHOWN_NAMES else ""
        listed = f"{self.path}: {counted(len(names), *what)}: {', '.join(names[:_SHOWN_NAMES])}{more}"
        return [*self.notes, *([listed] if names else [])]

    def _label_examples(self) -> list[list[float]]:
        """Some labels, evenly spread over the data set, where they are lists of numbers; [] for classes."""
        if not self.label_dim or (self._rows is None and self.class_names is not None):
            return []
        count = max(min(_EXAMPLES, len(self.image_names), _EXAMPLE_NUMBERS // self.label_dim), 1)
        chosen = (i * len(self.image_names) // count for i in range(count))
        if self._rows is not None:
            return [self._rows.row(i).tolist() for i in chosen]
        labels = self._labels or []
        return [label for label in (labels[i] for i in chosen) if isinstance(label, list)]

    @cached_property
    def scenes(self) -> dict[str, dict]:
        """Ground truth by image name (see ground_truth), unmirrored; empty when dataset.json has none."""
        scenes = (self._archive.metadata() or {}).get("scenes") or {}
        if not isinstance(scenes, dict) or not all(isinstance(scene, dict) for scene in scenes.values()):
            raise UserError(f'{self.path}: "scenes" of dataset.json must hold an object for each image')
        return scenes

    def scene(self, index: int) -> dict[str, Any] | None:
        """The ground truth of item `index`, mirrored like its image; None when there is none."""
        base, flipped = self._locate(index)
        scene = self.scenes.get(self._archive.in_metadata(self.image_names[base]))
        try:
            return ground_truth.mirrored(scene) if flipped and scene else scene
        except (TypeError, LookupError, ValueError, AttributeError) as error:
            raise UserError(f'{self.path}: "scenes" of dataset.json: {self.image_names[base]} is no scene') from error

    @cached_property
    def captions(self) -> dict[str, str]:
        """Captions by image name, unmirrored; empty when dataset.json has none."""
        return conditions.read_captions(self._archive)

    def caption(self, index: int) -> str | None:
        """The caption of item `index`, mirrored like its image; None when there is none."""
        base, flipped = self._locate(index)
        text = self.captions.get(self._archive.in_metadata(self.image_names[base]))
        return conditions.mirrored(text) if flipped and text else text

    def content_hash(self) -> str:
        """SHA-256 over the names, file contents and labels in use; mirroring leaves it the same."""
        return self._content_hash

    @cached_property
    def _content_hash(self) -> str:
        digest = hashlib.sha256()
        for i, name in enumerate(self.image_names):
            data = self._read_or_skip(i)
            header = [name, len(data), self._labels[i] if self._labels else None]
            digest.update(json.dumps(header).encode())
            digest.update(data)
        return digest.hexdigest()

    def _item(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        base, flipped = self._locate(index)
        image = self._image(base)
        return np.ascontiguousarray(image[..., ::-1]) if flipped else image.copy(), self.get_label(index)

    def _pass_over(self, index: int, error: DamagedImage) -> None:
        """Count the image of an item as damaged; raises UserError where none may be."""
        self._archive.check_unchanged()
        if not self.skip_damaged:
            raise error
        self.damage.add({self.image_names[index % len(self.image_names)]: str(error)})

    def _locate(self, index: int) -> tuple[int, bool]:
        """Index of the image, and whether it is to be flipped."""
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of a data set of {len(self)}")
        return index % len(self.image_names), index >= len(self.image_names)

    def _image(self, base: int) -> np.ndarray:
        if self._cache is None:
            return self._decode(base)
        if base not in self._cache:
            self._cache[base] = self._decode(base)
        return self._cache[base]

    def _decode(self, base: int) -> np.ndarray:
        name = self.image_names[base]
        image = decode(self._read(name), self._archive.where(name))
        self._check_like_first(name, image.shape)
        return image

    def _read(self, name: str) -> bytes:
        with naming_damage(self._archive.where(name)):
            return self._archive.read(name)

    def _read_or_skip(self, base: int) -> bytes:
        try:
            return self._read(self.image_names[base])
        except DamagedImage as error:
            self._pass_over(base, error)
            return b""

    def _header_shape(self, name: str) -> tuple[int, int, int]:
        where = self._archive.where(name)
        with naming_damage(where), self._archive.open(name) as file:
            header = read_header(file, where)
        return header.channels, header.height, header.width

    def _check_headers(self, resolution: int | None) -> None:
        """Take the shape that all images must have from the first one, and compare others with it."""
        headers = self._headers()
        self._first, self.image_shape = next(headers)
        self._check_usable(self._archive.where(self._first), self.image_shape, resolution)
        for name, shape in headers:
            self._check_like_first(name, shape)

    def _headers(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        """Name and shape of the images that are looked at beforehand."""
        for index, name in enumerate(self.image_names[:_CHECKED_HEADERS]):
            try:
                yield name, self._header_shape(name)
            except DamagedImage as error:
                self._pass_over(index, error)

    def _check_usable(self, where: str, shape: tuple[int, int, int], resolution: int | None) -> None:
        _, height, width = shape
        if height != width or not is_power_of_two(width):
            raise UserError(
                f"{where} is {width}x{height}; images must be squares with a power-of-two side: "
                "convert the data set with dataset_tool.py --transform=center-crop --width=... --height=..."
            )
        if resolution is not None and width != resolution:
            raise UserError(
                f"{self.path} holds images of {width}x{width}, but the resolution asked for is {resolution}; "
                f"convert it with dataset_tool.py --width={resolution} --height={resolution}"
            )

    def _check_like_first(self, name: str, shape: tuple[int, ...]) -> None:
        if tuple(shape) != self.image_shape:
            first = f"{self._first} is {_in_words(self.image_shape)}"
            raise UserError(
                f"{self._archive.where(name)} is {_in_words(shape)}, but {first}; all images must be alike: "
                "convert the data set with dataset_tool.py"
            )

    def _new_cache(self) -> dict[int, np.ndarray] | None:
        total = len(self.image_names) * int(np.prod(self.image_shape))
        return {} if total < _CACHE_LIMIT else None

    def __getstate__(self):
        """Without the cache: each process fills its own."""
        return {**self.__dict__, "_cache": None if self._cache is None else {}}


def _subset(names: list[str], max_size: int | None, seed: int) -> list[str]:
    if max_size is None or max_size >= len(names):
        return names
    if max_size < 1:
        raise UserError(f"a subset of {max_size} images is empty; ask for 1 or more")
    chosen = np.random.default_rng(seed).permutation(len(names))[:max_size]
    return [names[i] for i in sorted(chosen)]


def _in_words(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"
