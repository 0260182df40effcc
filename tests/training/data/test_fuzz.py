"""Damaged archives of every kind: one line or success, in bounded time and memory; never a traceback or a signal."""

import gzip
import json
import pickle
import random
import resource
import struct
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from dnnlib.errors import UserError
from tests.mutations import COUNT
from tests.training.data.test_plain_pickle import python_2_pickle
from tests.training.data.test_sources import write_cifar
from tests.training.data_samples import encoded, picture
from training.data.dataset import ImageDataset
from training.data.image_files import DAMAGE
from training.data.sources import open_source

SECONDS = 5.0  # for one file
MEMORY = 2 << 30  # bytes beyond what the process has already

VALUES = [None, True, -1, 0, 10**30, 1e308, float("nan"), "", "x" * 10_000, "\0", [], {}, [[]], [["a.png"]], "../a.png"]


@contextmanager
def bounded() -> Iterator[None]:
    """Fails where a file takes too long; asking for too much memory raises MemoryError."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    start = time.monotonic()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert time.monotonic() - start < SECONDS


def read_source(path: Path) -> None:
    """Everything in a source; pictures may be damaged each by itself, as dataset_tool.py skips them."""
    source = open_source(path)
    for index in range(len(source.names)):
        try:
            with source.open(index) as image:
                image.load()
        except UserError:
            raise
        except DAMAGE:
            pass


def read_data_set(path: Path) -> None:
    dataset = ImageDataset(path, use_labels=True, skip_damaged=True)
    dataset.label_facts()
    dataset.remarks()
    for index in range(len(dataset)):
        dataset[index]
        dataset.scene(index)


def refusal(path: Path, read: Callable[[Path], None]) -> str | None:
    """What a file is refused with; None where it is read."""
    try:
        with bounded():
            read(path)
    except UserError as error:
        return str(error)
    return None


def refusals(files: Iterable[Path], read: Callable[[Path], None]) -> list[str]:
    """What those of the files that are refused are refused with."""
    return [line for path in files if (line := refusal(path, read)) is not None]


def are_lines(messages: list[str]) -> bool:
    """Whether each is one line that says something, of a length that can be read."""
    return all(0 < len(message) < 2000 and message.isprintable() for message in messages)


def bytes_changed(data: bytes, rng: random.Random) -> bytes:
    """The data with a few bytes changed, cut off, doubled or moved."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        start = rng.randrange(len(changed) + 1)
        end = min(start + rng.choice([1, 1, 1, 4, 64]), len(changed))
        kind = rng.randrange(4)
        if kind == 0:
            changed[start:end] = rng.randbytes(end - start)
        elif kind == 1:
            del changed[start:end]
        elif kind == 2:
            changed[start:start] = changed[start:end]
        elif rng.random() < 0.2:
            del changed[start:]
    return bytes(changed)


def tree_changed(value: object, rng: random.Random) -> object:
    """JSON data with one part of it replaced."""
    if rng.random() < 0.3 or not isinstance(value, list | dict) or not value:
        return rng.choice(VALUES)
    copy = value.copy()
    key = rng.choice(list(copy)) if isinstance(copy, dict) else rng.randrange(len(copy))
    if rng.random() < 0.1:
        del copy[key]
    else:
        copy[key] = tree_changed(copy[key], rng)
    return copy


NAMES = [f"{i}.png" for i in range(4)]
THING = {"kind": "fox", "center": [0.1, 0.2], "box": [0, 0, 0.5, 0.5], "parts": {"eye": [[0, 0]]}}
METADATA = {
    "labels": [[name, i % 2] for i, name in enumerate(NAMES)],
    "classes": ["cat", "dog"],
    "scenes": {name: {"objects": [THING]} for name in NAMES},
}


def write_data_set(path: Path, metadata: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for i, name in enumerate(NAMES):
            archive.writestr(name, encoded(picture(i)))
        archive.writestr("dataset.json", metadata)
    return path


@pytest.mark.slow
def test_dataset_json_with_changed_bytes(tmp_path):
    rng, data = random.Random(1), json.dumps(METADATA).encode()
    files = (write_data_set(tmp_path / "a.zip", bytes_changed(data, rng)) for _ in range(COUNT))
    said = refusals(files, read_data_set)
    assert COUNT / 4 < len(said) < COUNT
    assert are_lines(said)


@pytest.mark.slow
def test_dataset_json_with_other_values(tmp_path):
    rng = random.Random(2)
    texts = (json.dumps(tree_changed(METADATA, rng)).encode() for _ in range(COUNT))
    said = refusals((write_data_set(tmp_path / "a.zip", text) for text in texts), read_data_set)
    assert COUNT / 4 < len(said) < COUNT
    assert are_lines(said)


@pytest.mark.slow
def test_zip_files_with_changed_bytes(tmp_path):
    rng, path = random.Random(3), write_data_set(tmp_path / "a.zip", json.dumps(METADATA).encode())
    data = path.read_bytes()
    said = refusals((written(path, bytes_changed(data, rng)) for _ in range(COUNT)), read_data_set)
    assert COUNT / 4 < len(said) < COUNT
    assert are_lines(said)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def cifar_pickle() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3072), dtype=np.uint8)
    return python_2_pickle(pixels, [3, 9])


@pytest.mark.slow
@pytest.mark.parametrize("compressed", [False, True])
def test_cifar_archives_with_changed_bytes(tmp_path, compressed):
    """Of the archive, and of the pickle within it, whose 300 bytes beside the pixels are changed."""
    rng, path, data = random.Random(4), tmp_path / "cifar-10-python.tar.gz", cifar_pickle()
    pixels = data.index(b"tb\x89T") + 8
    whole = write_cifar(path, {"data_batch_1": data}).read_bytes()

    def damaged() -> Path:
        if compressed:
            return written(path, bytes_changed(whole, rng))
        return write_cifar(path, {"data_batch_1": bytes_changed(data[:pixels], rng) + data[pixels:]})

    said = refusals((damaged() for _ in range(COUNT)), read_source)
    assert COUNT / 4 < len(said) < COUNT
    assert are_lines(said)


CIFAR = {
    b"batch_label": b"training batch 1 of 5",
    b"labels": [3, 9],
    b"data": np.random.default_rng(0).integers(0, 256, (2, 3072), dtype=np.uint8),
    b"filenames": [b"a.png", b"b.png"],
}
ARRAYS = [np.zeros(shape, kind) for shape in ((2, 3072), (3, 3072), (2, 3, 32, 32), (0, 3072), 6144, ())
          for kind in (np.uint8, np.int8, np.float32, ">i4", "U3", object, "u1,f4")]  # fmt: skip


@pytest.mark.slow
def test_cifar_archives_with_other_values(tmp_path):
    """Sound pickles of dictionaries in which something else stands."""
    rng, path = random.Random(7), tmp_path / "cifar-10-python.tar.gz"

    def damaged() -> Path:
        content = tree_changed(CIFAR, rng) if rng.random() < 0.5 else CIFAR | {b"data": rng.choice(ARRAYS)}
        return write_cifar(path, {"data_batch_1": pickle.dumps(content, protocol=rng.choice([0, 2, 2, 2, 4]))})

    said = refusals((damaged() for _ in range(COUNT)), read_source)
    assert COUNT / 4 < len(said) < COUNT
    assert are_lines(said)


def mnist(count: int = 3) -> bytes:
    return struct.pack(">4I", 0x803, count, 28, 28) + bytes(784 * 3)


@pytest.mark.slow
@pytest.mark.parametrize("compressed", [False, True])
def test_mnist_files_with_changed_bytes(tmp_path, compressed):
    rng, path, data = random.Random(5), tmp_path / "train-images-idx3-ubyte.gz", mnist()

    def damaged() -> bytes:
        if compressed:
            return bytes_changed(gzip.compress(data), rng)
        return gzip.compress(bytes_changed(data[:16], rng) + data[16:])

    said = refusals((written(path, damaged()) for _ in range(COUNT)), read_source)
    assert COUNT / 4 < len(said) < COUNT
    assert are_lines(said)


@pytest.mark.slow
def test_lmdb_files_with_changed_bytes(tmp_path):
    lmdb = pytest.importorskip("lmdb")
    rng, folder = random.Random(6), tmp_path / "cat_lmdb"
    with lmdb.open(str(folder), map_size=1 << 20) as database, database.begin(write=True) as transaction:
        for i in range(60):
            transaction.put(f"{i:040x}".encode(), encoded(picture(i, 16)))
    data = (folder / "data.mdb").read_bytes()

    def damaged(number: int) -> Path:
        cut = data[: rng.randrange(len(data))] if number % 3 == 0 else bytes_changed(data, rng)
        return written(folder / "data.mdb", cut).parent

    said = refusals(map(damaged, range(400)), read_source)
    assert 100 < len(said) < 400
    assert are_lines(said)


def test_what_is_whole_is_read(tmp_path):
    assert refusal(write_data_set(tmp_path / "a.zip", json.dumps(METADATA).encode()), read_data_set) is None
    archive = write_cifar(tmp_path / "cifar-10-python.tar.gz", {"data_batch_1": cifar_pickle()})
    assert refusal(archive, read_source) is None
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(mnist()))
    assert refusal(tmp_path / "train-images-idx3-ubyte.gz", read_source) is None


@pytest.mark.parametrize("count", [2**32 - 1, 1 << 30])
def test_bombs_are_refused(tmp_path, count):
    """Sizes are believed only as far as there are bytes."""
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(mnist(count)))
    said = refusals([path], read_source)
    assert len(said) == 1
    assert are_lines(said)
