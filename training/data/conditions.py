"""What pictures are made from besides a latent, where that is no class: a label map, or a caption.

Either is a row of numbers, as labels are, so that it goes wherever labels go: [R * R] pixels of a label map, each the
index of its class, or the words of a caption, each its index in a vocabulary, and 0 after the last one.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from dnnlib.errors import UserError
from dnnlib.parsing import nearest, real, shown
from dnnlib.words import counted
from training.data import ground_truth
from training.data.archives import METADATA, Archive
from training.data.image_files import DAMAGE, reason
from training.data.image_formats import open_image
from training.data.labels import MAX_CLASSES

BACKGROUND = "background"  # class 0 of a label map
MAX_WORDS = 64  # of a caption; further ones are left out
_SIDES = {"left": "right", "right": "left"}


class Source(Protocol):
    """What a data set is to this module; captions and scenes are unmirrored, and by image name."""

    path: str

    @property
    def resolution(self) -> int: ...

    @property
    def captions(self) -> Mapping[str, str]: ...

    @property
    def scenes(self) -> Mapping[str, Mapping[str, Any]]: ...

    def scene(self, index: int) -> Mapping[str, Any] | None:
        """Of item `index`, mirrored like its image."""
        ...

    def caption(self, index: int) -> str | None:
        """The same of captions."""
        ...

    def __len__(self) -> int: ...


class Rows(Protocol):
    """Conditions of a data set. names: what the numbers of a row are indices of."""

    names: list[str]
    width: int

    def row(self, index: int) -> np.ndarray:
        """Of item `index`, float32 [width]."""
        ...


def open_rows(condition: str, source: Source) -> Rows:
    """Raises UserError when the data set has no such conditions, or not for every image."""
    if condition not in _KINDS:
        raise UserError(f"data.condition {shown(condition)} is unknown{nearest(condition, ['labels', *_KINDS])}")
    return _KINDS[condition](source)


# --- label maps -------------------------------------------------------------------------------------------------


class LabelMaps:
    """Those of scenes whose objects have masks: the background, and a class for each kind of object."""

    def __init__(self, source: Source):
        self._source = source
        self.names = [BACKGROUND, *sorted(set(_kinds(source)) - {BACKGROUND})]
        self.width = source.resolution**2
        for index in range(len(source)):
            if source.scene(index) is None:
                raise self._nothing(f"no scene for image {index}")

    def row(self, index: int) -> np.ndarray:
        """Raises UserError where a mask is of another size or damaged."""
        scene, resolution = self._source.scene(index), self._source.resolution
        try:
            return label_map((scene or {})["objects"], self.names, resolution).ravel().astype(np.float32)
        except (TypeError, LookupError, ValueError, AttributeError) as error:
            raise self._nothing(f"the masks of image {index} cannot be used") from error

    def _nothing(self, why: str) -> UserError:
        return _no_maps(self._source.path, why)


def label_map(objects: Sequence[Mapping[str, Any]], names: Sequence[str], resolution: int) -> np.ndarray:
    """Classes of the pixels, [R, R] int64, of objects with a "kind" and a "mask" (see ground_truth), the nearest first.

    Raises LookupError or ValueError for an unknown kind, a missing mask, and one of another size.
    """
    classes = np.zeros([resolution, resolution], dtype=np.int64)
    for thing in reversed(objects):
        classes[ground_truth.decode_mask(thing["mask"])] = names.index(thing["kind"])
    return classes


def read_label_map(path: str | Path, names: Sequence[str], resolution: int) -> np.ndarray:
    """Classes [R, R] of a picture whose pixels are their numbers: grey, or a palette's indices.

    Raises UserError when it is no such picture, of another size, or has numbers that are no class.
    """
    try:
        with open(path, "rb") as file, open_image(file, str(path)) as picture:
            mode, classes = picture.mode, np.asarray(picture)
    except UserError:
        raise
    except (*DAMAGE, Image.DecompressionBombError) as error:
        raise UserError(f"--label-map {path}: cannot be read: {reason(error)}") from error
    if mode not in ("L", "P", "1"):
        raise UserError(
            f"--label-map {path}: its mode is {mode}; give a grey picture, or a palette's, of class numbers"
        )
    if classes.shape != (resolution, resolution):
        size = "x".join(map(str, classes.shape[::-1]))
        raise UserError(f"--label-map {path} is {size}; this model takes {resolution}x{resolution}")
    if classes.max() >= len(names):
        raise UserError(f"--label-map {path} has class {classes.max()}; {_listed(names)}")
    return classes.astype(np.int64)


def discs(text: str, names: Sequence[str], resolution: int) -> np.ndarray:
    """Classes [R, R] of a layout of discs such as "ball:0.3,-0.2,0.35; cone:-0.4,0,0.3", the nearest last.

    Each is CLASS:X,Y,RADIUS, positions as in ground_truth: -1 and 1 are the middles of border pixels. Raises UserError
    for any other form, and an unknown class.
    """
    along = ground_truth.normalized(np.arange(resolution) + 0.5, resolution)
    classes = np.zeros([resolution, resolution], dtype=np.int64)
    for part in filter(str.strip, text.split(";")):
        kind, x, y, radius = _disc(part, names)
        classes[(along[None] - x) ** 2 + (along[:, None] - y) ** 2 <= radius**2] = names.index(kind)
    return classes


def _disc(text: str, names: Sequence[str]) -> tuple[str, float, float, float]:
    kind, _, place = (each.strip() for each in text.rpartition(":"))
    try:
        x, y, radius = map(real, place.split(","))
    except ValueError:
        raise UserError(f"--label-map {shown(text)}: give a PNG file, or discs CLASS:X,Y,RADIUS") from None
    if kind not in names:
        raise UserError(f"--label-map {shown(text)}: there is no class {shown(kind)}; {_listed(names)}")
    if not np.isfinite([x, y, radius]).all() or radius <= 0:
        raise UserError(f"--label-map {shown(text)}: X, Y and RADIUS are finite numbers, RADIUS above 0")
    return kind, x, y, radius


def _kinds(source: Source) -> list[str]:
    if not source.scenes:
        raise _no_maps(source.path, "there are no scenes")
    try:
        things = list(chain.from_iterable(scene["objects"] for scene in source.scenes.values()))
        if not all("mask" in thing and isinstance(thing["kind"], str) for thing in things):
            raise _no_maps(source.path, "not every object has a mask")
    except (TypeError, LookupError) as error:
        raise _no_maps(source.path, "the scenes have no objects") from error
    return [thing["kind"] for thing in things]


def _no_maps(path: str, why: str) -> UserError:
    return UserError(
        f"{path} has no label maps: {why} in dataset.json; make it by dataset_tool.py toy --masks, or compose --masks"
    )


def _listed(names: Sequence[str]) -> str:
    return f"the classes are {', '.join(f'{number} {shown(name, 30)}' for number, name in enumerate(names[:12]))}"


# --- captions ---------------------------------------------------------------------------------------------------


class Captions:
    """Those of dataset.json, {"captions": {image name: text}}. Mirrored pictures: left and right change places."""

    def __init__(self, source: Source):
        self._source = source
        missing = next((index for index in range(len(source)) if source.caption(index) is None), None)
        if missing is not None:
            raise UserError(
                f'{source.path}: image {missing} has no caption; dataset.json wants {{"captions": {{"file.png": "a '
                'ball"}}, which dataset_tool.py toy --captions and compose --captions write'
            )
        texts = [words_of(text) for text in source.captions.values()]
        found = set(chain.from_iterable(texts))
        self.names = ["", *sorted(found | {_SIDES[word] for word in found & _SIDES.keys()})]
        self._index = {name: number for number, name in enumerate(self.names)}
        self.width = max(min(max(map(len, texts)), MAX_WORDS), 1)
        if len(self.names) > MAX_CLASSES:
            raise UserError(f"{source.path}: captions of {len(self.names)} words; {MAX_CLASSES} are the most")

    def row(self, index: int) -> np.ndarray:
        return word_row(words_of(self._source.caption(index) or ""), self._index, self.width)


def read_captions(archive: Archive) -> dict[str, str]:
    """By name in dataset.json; {} when there are none. Raises UserError for something else than texts by name."""
    captions = (archive.metadata() or {}).get("captions") or {}
    if not isinstance(captions, dict) or not all(isinstance(text, str) for text in captions.values()):
        where = archive.where(archive.metadata_name or METADATA)
        raise UserError(f'{where}: "captions" must be texts by image name: {{"file.png": "a ball"}}')
    return captions


def captions_of(archive: Archive, names: Sequence[str]) -> list[str | None] | None:
    """Those of images of an archive; None when there are none at all."""
    captions = read_captions(archive)
    return [captions.get(archive.in_metadata(name)) for name in names] if captions else None


def words_of(text: str) -> list[str]:
    """In small letters, without punctuation."""
    return re.findall(r"\w+", text.lower())


def mirrored(text: str) -> str:
    """What is left of the flipped picture's: left becomes right."""
    return re.sub(r"\b(left|right)\b", lambda found: _SIDES[found[0].lower()], text, flags=re.IGNORECASE)


def word_row(words: Sequence[str], index: Mapping[str, int], width: int) -> np.ndarray:
    """Indices of the first `width` words, then 0: float32 [width]. Words that are not there count as none."""
    numbers = [index.get(word, 0) for word in words[:width]]
    return np.array(numbers + [0] * (width - len(numbers)), dtype=np.float32)


def parse_text(text: str, names: Sequence[str], width: int) -> np.ndarray:
    """The row of what --text says. Raises UserError for words that the model has never seen, too many, and none."""
    words = words_of(text)
    if not 0 < len(words) <= width:
        raise UserError(f"--text {shown(text)}: {counted(len(words), 'word')}; this model takes from 1 to {width}")
    for word in words:
        if word not in names:
            raise UserError(f"--text {shown(text)}: this model does not know the word {shown(word)}"
                            f"{nearest(word, names[1:])}")  # fmt: skip
    return word_row(words, {name: number for number, name in enumerate(names)}, width)


_KINDS: dict[str, Any] = {"label-map": LabelMaps, "text": Captions}
