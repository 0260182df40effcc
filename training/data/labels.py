"""Labels of images: from dataset.json or, without one, from the names of sub-folders."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dnnlib.errors import UserError
from training.data.archives import METADATA, Archive

Label = int | list[float]

_HOWTO = (
    f'put the images of each class into a sub-folder, or add a {METADATA} with {{"labels": [["file.png", 0], ...]}}'
)
# Trees that only number images: what dataset_tool.py writes, and FFHQ.
_NUMBERED = re.compile(r"\d{5}/(img\d{8}|\d{5})\.\w+")


@dataclass(frozen=True)
class Labels:
    """Labels by image name (empty: there are none), and class names if they are known."""

    by_name: dict[str, Label]
    classes: list[str] | None = None

    def of(self, names: Sequence[str], where: str) -> list[Label]:
        """The labels of these images. Raises UserError, naming `where` and an image, when one has none."""
        if not self.by_name:
            raise UserError(f"{where} has no labels; {_HOWTO}")
        for name in names:
            if name not in self.by_name:
                raise UserError(f"{where}/{METADATA} gives no label for {name}; add it, or remove the image")
        return [self.by_name[name] for name in names]


def find_labels(archive: Archive, image_names: Sequence[str]) -> Labels:
    """What dataset.json says or, when there is none, what the sub-folders say.

    Raises UserError when dataset.json holds something else than whole numbers or equally long
    lists of numbers.
    """
    metadata = archive.metadata()
    if metadata is None:
        return folder_labels(image_names)
    return _parse(metadata, archive.where(METADATA))


def folder_labels(names: Sequence[str]) -> Labels:
    """Classes from top sub-folders in alphabetical order, when every image lies in one and there are two or more.

    A single folder around everything does not count, and neither do trees that only number images.
    """
    inner = _without_common_folder(names)
    tops = [name.partition("/")[0] if "/" in name else "" for name in inner]
    classes = sorted(set(tops))
    if len(classes) < 2 or "" in classes or all(_NUMBERED.fullmatch(name) for name in inner):
        return Labels({})
    index = {name: i for i, name in enumerate(classes)}
    return Labels({name: index[top] for name, top in zip(names, tops, strict=True)}, classes)


def width(labels: Sequence[Label]) -> int:
    """How long the labels' vectors are: the largest number + 1, or the length of the lists."""
    return max(labels) + 1 if isinstance(labels[0], int) else len(labels[0])


def vector(label: Label, length: int) -> np.ndarray:
    """One label as float32 [length]: a number one-hot, a list as it is."""
    if isinstance(label, list):
        return np.array(label, dtype=np.float32)
    one_hot = np.zeros(length, dtype=np.float32)
    one_hot[label] = 1
    return one_hot


def _without_common_folder(names: Sequence[str]) -> list[str]:
    inner = list(names)
    while len({name.partition("/")[0] for name in inner}) == 1 and all("/" in name for name in inner):
        inner = [name.partition("/")[2] for name in inner]
    return inner


def _parse(metadata: dict[str, Any], where: str) -> Labels:
    entries = metadata.get("labels") or []
    try:
        by_name = {name.replace("\\", "/"): label for name, label in entries}
    except (TypeError, ValueError, AttributeError):
        raise UserError(f'{where}: "labels" must be null or a list of [file name, label]') from None
    if len({_kind(name, label, where) for name, label in by_name.items()}) > 1:
        raise UserError(f"{where}: labels must be all whole numbers, or all lists of one length")
    return Labels(by_name, metadata.get("classes"))


def _kind(name: str, label: Any, where: str) -> int:
    """0 for a class number, the length of a list of numbers. Raises UserError for anything else."""
    if type(label) is int and label >= 0:
        return 0
    if isinstance(label, list) and label and all(type(value) in (int, float) for value in label):
        return len(label)
    raise UserError(f"{where}: the label of {name} is {label!r}; labels are numbers 0, 1, 2, ... or lists of numbers")
