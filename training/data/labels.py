"""Labels of images: from dataset.json or, without one, from the names of sub-folders."""

import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dnnlib.errors import UserError
from training.data.archives import METADATA, Archive, plain_name

Label = int | list[float]

MAX_CLASSES = 100_000  # more are numbers of something else; also the most numbers in a list
_LARGEST = float(np.finfo(np.float32).max)
_LARGEST_CLASS = 2**63 - 1
_SHOWN = 60  # characters of what stands in a file

_HOWTO = (
    f'put the images of each class into a sub-folder, or add a {METADATA} with {{"labels": [["file.png", 0], ...]}}'
)
# Trees that only number images: what dataset_tool.py writes, and FFHQ.
_NUMBERED = re.compile(r"\d{5}/(img\d{8}|\d{5})\.\w+")


@dataclass(frozen=True)
class Labels:
    """Labels by image name as `plain_name` writes it (empty: there are none), and the names of the classes, if known.

    `folder` is where dataset.json lies, within the archive; names in it may be relative to that, or to the archive.
    """

    by_name: dict[str, Label]
    classes: list[str] | None = None
    folder: str = ""
    note: str | None = None

    def of(self, names: Sequence[str], where: str) -> list[Label]:
        """The labels of these images. Raises UserError, naming `where` and an image, when one has none."""
        if not self.by_name:
            raise UserError(f"{where} has no labels; {_HOWTO}")
        return [self._of(name, where) for name in names]

    @property
    def class_names(self) -> list[str] | None:
        """A name for each class, its number where it has no other; None for labels that are lists of numbers."""
        some = next(iter(self.by_name.values()), None)
        if not isinstance(some, int):
            return None
        return self.classes or [str(number) for number in range(width(list(self.by_name.values())))]

    def _of(self, name: str, where: str) -> Label:
        inner, whole = plain_name(name.removeprefix(self.folder)), plain_name(name)
        if inner not in self.by_name and whole not in self.by_name:
            raise UserError(
                f"{where}/{self.folder}{METADATA} gives no label for {inner}; add it, or remove the image"
            )
        return self.by_name[inner] if inner in self.by_name else self.by_name[whole]


def find_labels(archive: Archive, image_names: Sequence[str]) -> Labels:
    """What dataset.json says or, when there is none, what the sub-folders say.

    Raises UserError when dataset.json holds something else than whole numbers or equally long
    lists of numbers.
    """
    metadata = archive.metadata()
    if metadata is None:
        return folder_labels([plain_name(name) for name in image_names])
    name = archive.metadata_name or METADATA
    found = _parse(metadata, archive.where(name), name.removesuffix(METADATA))
    return _with_note_of_absent(found, image_names, archive.where(name))


def _with_note_of_absent(found: Labels, image_names: Sequence[str], where: str) -> Labels:
    """The same; its note says how many labels are of images that are not there."""
    there = {plain_name(part) for name in image_names for part in (name, name.removeprefix(found.folder))}
    absent = [name for name in found.by_name if name not in there]
    if not absent:
        return found
    note = f"{where}: {len(absent)} of {len(found.by_name)} labels are of no image here, the first: {_shown(absent[0])}"
    return replace(found, note=note if found.note is None else f"{found.note}; {note}")


def folder_labels(names: Sequence[str]) -> Labels:
    """Classes from top sub-folders, when every image lies in one and there are two or more.

    They are in alphabetical order, but numbers in their names in numerical order. A single folder around everything
    does not count, and neither do trees that only number images.
    """
    inner = _without_common_folder(names)
    tops = [name.partition("/")[0] if "/" in name else "" for name in inner]
    classes = sorted(set(tops), key=in_natural_order)
    if len(classes) < 2 or "" in classes or all(_NUMBERED.fullmatch(name) for name in inner):
        return Labels({})
    index = {name: i for i, name in enumerate(classes)}
    return Labels({name: index[top] for name, top in zip(names, tops, strict=True)}, classes)


def in_natural_order(name: str) -> tuple:
    """A key that sorts names by their letters, and by the value of the numbers in them: 2, 10, a2, a10."""
    parts = re.split(r"([0-9]+)", name)  # text, number, text, ...
    digits = (part.lstrip("0") for part in parts[1::2])
    return [*zip(parts[::2], [(len(number), number) for number in digits] + [()], strict=True)], name


def width(labels: Sequence[Label]) -> int:
    """How long the labels' vectors are: the largest number + 1, or the length of the lists."""
    first = labels[0]
    return len(first) if isinstance(first, list) else max(label for label in labels if isinstance(label, int)) + 1


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


def _parse(metadata: Mapping[str, Any], where: str, folder: str) -> Labels:
    by_name = _entries(metadata.get("labels") or [], where)
    kinds = {len(label) if isinstance(label, list) else 0 for label in by_name.values()}
    if len(kinds) > 1:
        raise UserError(f"{where}: labels must be all whole numbers, or all lists of one length")
    classes = _class_names(metadata.get("classes"), where)
    if kinds != {0}:
        return Labels(by_name, classes, folder)
    numbers = {name: label for name, label in by_name.items() if isinstance(label, int)}
    if classes is not None:
        _check_named(numbers, classes, where)
        return Labels(by_name, classes, folder)
    return _without_gaps(numbers, where, folder)


def _entries(entries: Any, where: str) -> dict[str, Label]:
    complaint = UserError(f'{where}: "labels" must be null or a list of [file name, label]')
    if not isinstance(entries, list):
        raise complaint
    by_name: dict[str, Any] = {}
    for entry in entries:
        if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str)):
            raise complaint
        name = plain_name(entry[0])
        _check_label(name, entry[1], where)
        if by_name.setdefault(name, entry[1]) != entry[1]:
            raise UserError(f"{where} gives two different labels for {_shown(name)}; leave one of them")
    return by_name


def _check_label(name: str, label: Any, where: str) -> None:
    """Raises UserError for what is neither a class number nor a list of numbers."""
    if type(label) is int and 0 <= label <= _LARGEST_CLASS:
        return
    if isinstance(label, list) and 0 < len(label) <= MAX_CLASSES and all(_is_number(value) for value in label):
        return
    raise UserError(
        f"{where}: the label of {_shown(name)} is {reprlib.repr(label)}; labels are numbers 0, 1, 2, ... or lists of "
        f"1 to {MAX_CLASSES} finite numbers"
    )


def _is_number(value: Any) -> bool:
    """Whether it is a finite number that float32 can hold."""
    return type(value) in (int, float) and abs(value) <= _LARGEST


def _class_names(names: Any, where: str) -> list[str] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(f'{where}: "classes" must be null or a list of names')
    if len(names) > MAX_CLASSES:
        raise UserError(f'{where}: "classes" has {len(names)} names; {MAX_CLASSES} are the most')
    return names


def _check_named(by_name: Mapping[str, int], classes: Sequence[str], where: str) -> None:
    """Raises UserError when a class number is larger than there are names."""
    for name, label in by_name.items():
        if label >= len(classes):
            raise UserError(
                f'{where}: the label of {_shown(name)} is {label}, but "classes" has {len(classes)} names, for '
                f"the labels 0 to {len(classes) - 1}"
            )


def _without_gaps(by_name: dict[str, int], where: str, folder: str) -> Labels:
    """Class numbers 0, 1, 2, ... for whatever numbers there are; these are the classes' names.

    Without that, labels that begin at 1 would make a class that no image has, and a data base's numbers millions.
    """
    numbers: list[int] = sorted(set(by_name.values()))
    if len(numbers) > MAX_CLASSES:
        raise UserError(
            f"{where}: labels are {len(numbers)} different numbers; {MAX_CLASSES} classes are the most: give images "
            "of one kind the same number"
        )
    if numbers[-1] == len(numbers) - 1:
        return Labels(dict(by_name), None, folder)
    index = {number: i for i, number in enumerate(numbers)}
    gaps = "" if numbers[-1] - numbers[0] == len(numbers) - 1 else " with gaps"
    note = (
        f"{where}: labels are {len(numbers)} numbers from {numbers[0]} to {numbers[-1]}{gaps}; they "
        f"become classes 0 to {len(numbers) - 1}, whose names are these numbers"
    )
    names = [str(number) for number in numbers]
    return Labels({name: index[label] for name, label in by_name.items()}, names, folder, note)


def _shown(name: str) -> str:
    """A name from a file, at a length that fits a message."""
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."
