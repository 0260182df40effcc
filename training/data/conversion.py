"""From a source of images to a data set: look at all headers first, then write, or refuse."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from dnnlib.errors import UserError
from dnnlib.words import counted
from training.data.bit_depth import BitDepth
from training.data.image_files import DAMAGE, has_more_frames, is_power_of_two, reason
from training.data.image_formats import OverLimit
from training.data.sources import Source
from training.data.transforms import Transform, is_grey, is_grey_color, to_plain, upright_size
from training.data.writer import DatasetWriter, open_writer

_NAMED = 20  # images that are left out, each on a line

Say = Callable[[str], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class ConversionSummary:
    """What a conversion made of its source."""

    images: int
    size: int
    channels: int
    labels: str  # in words
    skipped: int
    refused: int = 0  # pictures over a limit

    def __str__(self) -> str:
        kind = {1: "grey", 3: "RGB"}[self.channels]
        refused = f", {self.refused} over a limit skipped" if self.refused else ""
        return (
            f"{counted(self.images, 'image')}, {self.size}x{self.size}, {kind}, {self.labels}, "
            f"{self.skipped} damaged skipped{refused}"
        )


class _Log:
    """What there is to tell: damaged images at once (or as an error), remarks in the end, with a count of each."""

    def __init__(self, say: Say, strict: bool):
        self._say, self._strict = say, strict
        self._remarks: dict[str, list[str]] = {}  # images by remark
        self.damaged_count = self.refused_count = 0
        self.first = ""  # image that was left out, and why

    def refused(self, name: str, error: OverLimit) -> None:
        if self._strict:
            raise UserError(f"{name} is refused: {error}")
        self.refused_count += 1
        self.first = self.first or f"{name} is refused: {error}"
        self._name(f"skipped, over a limit: {name}: {error}")

    def damaged(self, name: str, error: Exception) -> None:
        if self._strict:
            raise UserError(f"{name} is damaged: {reason(error)}; remove it, or leave out --strict to skip such images")
        self.damaged_count += 1
        self.first = self.first or f"{name} is damaged: {reason(error)}"
        self._name(f"skipped, damaged: {name}: {reason(error)}")

    def _name(self, skipped: str) -> None:
        """The first ones; of thousands, nobody reads the names."""
        count = self.damaged_count + self.refused_count
        if count <= _NAMED:
            self._say(skipped)
        elif count == _NAMED + 1:
            self._say("more are skipped; their names are left out here")

    def remark(self, what: str, name: str) -> None:
        self._remarks.setdefault(what, []).append(name)

    def tell_remarks(self) -> None:
        for what, names in self._remarks.items():
            self._say(f"{what}: {counted(len(names), 'image')}, first {names[0]}")


@dataclass(frozen=True)
class _Survey:
    """The images whose header can be read, and the shape that all results share."""

    indices: list[int]
    size: int
    channels: int
    depth: BitDepth


def convert(
    source: Source, dest: str | Path, transform: Transform, strict: bool = False, say: Say = print
) -> ConversionSummary:
    """Write the images of `source`, transformed, to `dest` (see training/data/writer.py) and return what was done.

    Damaged images are named with `say` and left out; with `strict`, the first one raises UserError.
    UserError also when results are not all squares of one power-of-two size. Then `dest` is left as it was.
    """
    log = _Log(say, strict)
    for note in source.notes:
        say(note)
    with open_writer(dest) as writer:
        survey = _survey(source, transform, log)
        _write_all(source, survey, transform, writer, log)
    log.tell_remarks()
    shape, counts = (survey.size, survey.channels), (log.damaged_count, log.refused_count)
    return ConversionSummary(writer.count, *shape, _describe_labels(source), *counts)


def _readable(
    source: Source, indices: Sequence[int], read: Callable[[int, Image.Image], Result], log: _Log, title: str
) -> Iterator[tuple[int, Result]]:
    """(index, read(index, image)) of every image that is not damaged. Raises UserError when none is left."""
    count = 0
    for i in tqdm(indices, title, unit=" images", disable=None):
        try:
            with source.open(i) as image:
                result = read(i, image)
        except OverLimit as error:
            log.refused(source.names[i], error)
            continue
        except UserError:
            raise
        except DAMAGE as error:
            log.damaged(source.names[i], error)
            continue
        count += 1
        yield i, result
    if not count:
        raise UserError(
            f"nothing of the source can be read, {counted(len(source.names), 'image')}; the first: {log.first}"
        )


def _survey(source: Source, transform: Transform, log: _Log) -> _Survey:
    indices, grey, depth = [], [], BitDepth()
    first: tuple[str, tuple[int, int]] | None = None

    def look(index: int, image: Image.Image) -> tuple[tuple[int, int], bool]:
        found = _look(source.names[index], image, depth)
        if has_more_frames(image):
            log.remark("only the first of several frames or pages taken", source.names[index])
        return found

    looked = _readable(source, range(len(source.names)), look, log, "checking")
    for i, (original, is_colorless) in looked:
        name, size = source.names[i], transform.output_size(original)
        first = first or (name, size)
        _check_not_squashed(name, original, transform)
        _check_size(name, size, *first)
        if transform.enlarges(original):
            log.remark("enlarged, being smaller than the result", name)
        indices.append(i)
        grey += [name] * is_colorless
    depth.check()
    assert first is not None
    only_grey = len(grey) == len(indices) and is_grey_color(transform.background)
    for name in [] if only_grey else grey:
        log.remark("grey turned to RGB, to match the others", name)
    return _Survey(indices, first[1][0], 1 if only_grey else 3, depth)


def _look(name: str, image: Image.Image, depth: BitDepth) -> tuple[tuple[int, int], bool]:
    depth.add(name, image)
    return upright_size(image), is_grey(image)


def _check_not_squashed(name: str, size: tuple[int, int], transform: Transform) -> None:
    if transform.squashes(size):
        raise UserError(
            f"{name} is {size[0]}x{size[1]}, which {transform.side}x{transform.side} would squeeze out of shape; add "
            "--transform=center-crop to cut out its middle, or --transform=pad to keep all of it"
        )


def _check_size(name: str, size: tuple[int, int], first_name: str, first_size: tuple[int, int]) -> None:
    width, height = size
    if width == height and is_power_of_two(width) and size == first_size:
        return
    side = 2 ** max(min(first_size).bit_length() - 1, 2)
    advice = f"add --transform=center-crop --width={side} --height={side}, or another size"
    if size != first_size:
        raise UserError(f"{name} is {width}x{height} but {first_name} is {first_size[0]}x{first_size[1]}; {advice}")
    raise UserError(f"{name} is {width}x{height}, not a square with a power-of-two side; {advice}")


def _write_all(source: Source, survey: _Survey, transform: Transform, writer: DatasetWriter, log: _Log) -> None:
    def read(_: int, image: Image.Image) -> tuple[Image.Image, list[str]]:
        return to_plain(image, survey.depth, transform.background)

    for i, (plain, done) in _readable(source, survey.indices, read, log, "writing"):
        for what in done:
            log.remark(what, source.names[i])
        label = source.labels[i] if source.labels else None
        caption = source.captions[i] if source.captions else None
        writer.add(_pixels(transform(plain), survey.channels), label, caption=caption)
    if source.classes:
        writer.metadata["classes"] = source.classes


def _pixels(image: Image.Image, channels: int) -> np.ndarray:
    return np.asarray(image.convert("RGB" if channels == 3 else "L"))


def _describe_labels(source: Source) -> str:
    if not source.labels:
        return "no labels"
    if isinstance(source.labels[0], list):
        return f"labels of {counted(len(source.labels[0]), 'number')}"
    return counted(len(set(source.labels)), "class", "classes")
