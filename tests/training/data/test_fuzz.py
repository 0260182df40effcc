"""Damaged archives of every kind: one line or success, in bounded time and memory; never a traceback or a signal."""

import gzip
import json
import pickle
import random
import struct
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from dnnlib.errors import UserError
from tests.mutations import COUNT, chances, memory_limit, time_limit
from tests.training.data.test_plain_pickle import python_2_pickle
from tests.training.data.test_sources import write_cifar
from tests.training.data_samples import encoded, picture
from tests.watching import Watch, files_below
from training.data import lmdb_server
from training.data.dataset import ImageDataset
from training.data.image_files import DAMAGE
from training.data.sources import open_source

SECONDS = 5.0  # for one file
MEMORY = 2 << 30  # bytes beyond what the process has already

VALUES = [None, True, -1, 0, 10**30, 1e308, float("nan"), "", "x" * 10_000, "\0", [], {}, [[]], [["a.png"]], "../a.png"]


def is_lmdb_server(event: str, arguments: tuple) -> bool:
    """A process of our own reads LMDB files."""
    return event == "subprocess.Popen" and lmdb_server.__file__ in arguments[1]


WATCH = Watch(allows=is_lmdb_server)


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
    """What a file is refused with; None where it is read. Nothing else is done, and nothing is left."""
    before = files_below(path.parent)
    try:
        with memory_limit(MEMORY), time_limit(SECONDS), WATCH.watching():
            read(path)
    except UserError as error:
        return str(error)
    finally:
        assert WATCH.taken() == {}
        assert files_below(path.parent) == before
    return None


def refusals(files: Iterable[Path], read: Callable[[Path], None]) -> list[str]:
    """What those of the files that are refused are refused with."""
    said = []
    for number, path in enumerate(files):
        try:
            line = refusal(path, read)
        except BaseException as error:
            error.add_note(f"mutation {number}")
            raise
        said += [] if line is None else [line]
    return said


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
    data = json.dumps(METADATA).encode()
    files = (write_data_set(tmp_path / "a.zip", bytes_changed(data, rng)) for rng in chances(11))
    said = refusals(files, read_data_set)
    assert COUNT / 4 < len(said) < COUNT
    assert are_lines(said)


@pytest.mark.slow
def test_dataset_json_with_other_values(tmp_path):
    texts = (json.dumps(tree_changed(METADATA, rng)).encode() for rng in chances(12))
    said = refusals((write_data_set(tmp_path / "a.zip", text) for text in texts), read_data_set)
    assert COUNT / 4 < len(said) < COUNT
    assert are_lines(said)


@pytest.mark.slow
def test_zip_files_with_changed_bytes(tmp_path):
    path = write_data_set(tmp_path / "a.zip", json.dumps(METADATA).encode())
    data = path.read_bytes()
    said = refusals((written(path, bytes_changed(data, rng)) for rng in chances(13)), read_data_set)
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
    path, data = tmp_path / "cifar-10-python.tar.gz", cifar_pickle()
    pixels = data.index(b"tb\x89T") + 8
    whole = write_cifar(path, {"data_batch_1": data}).read_bytes()

    def damaged(rng: random.Random) -> Path:
        if compressed:
            return written(path, bytes_changed(whole, rng))
        return write_cifar(path, {"data_batch_1": bytes_changed(data[:pixels], rng) + data[pixels:]})

    said = refusals(map(damaged, chances(14)), read_source)
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
    path = tmp_path / "cifar-10-python.tar.gz"

    def damaged(rng: random.Random) -> Path:
        content = tree_changed(CIFAR, rng) if rng.random() < 0.5 else CIFAR | {b"data": rng.choice(ARRAYS)}
        return write_cifar(path, {"data_batch_1": pickle.dumps(content, protocol=rng.choice([0, 2, 2, 2, 4]))})

    said = refusals(map(damaged, chances(15)), read_source)
    assert COUNT / 4 < len(said) < COUNT
    assert are_lines(said)


BLACK = bytes(784 * 3)


def mnist(count: int = 3) -> bytes:
    return struct.pack(">4I", 0x803, count, 28, 28) + BLACK


@pytest.mark.slow
@pytest.mark.parametrize("compressed", [False, True])
def test_mnist_files_with_changed_bytes(tmp_path, compressed):
    path, data = tmp_path / "train-images-idx3-ubyte.gz", mnist()

    def damaged(rng: random.Random) -> bytes:
        if compressed:
            return bytes_changed(gzip.compress(data), rng)
        return gzip.compress(bytes_changed(data[:16], rng) + data[16:])

    said = refusals((written(path, damaged(rng)) for rng in chances(16)), read_source)
    assert COUNT / 4 < len(said) < COUNT
    assert are_lines(said)


WORDS = [0, 1, 2, 3, 4, 27, 28, 29, 255, 0x801, 0x803, 0xD03, 1 << 16, 1 << 28, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]


def idx(numbers: list[int], data: bytes) -> bytes:
    """A file of big-endian numbers and bytes, as MNIST's are."""
    return gzip.compress(struct.pack(f">{len(numbers)}I", *numbers) + data)


def idx_changed(numbers: list[int], data: bytes, rng: random.Random) -> bytes:
    """One with other numbers or data, packed once, twice, in pieces, or with something behind it."""
    numbers = numbers.copy()
    for _ in range(rng.choice([0, 1, 1, 2])):
        numbers[rng.randrange(len(numbers))] = rng.choice(WORDS)
    if rng.random() < 0.1:
        del numbers[rng.randrange(len(numbers))]
    packed = idx(numbers, rng.choice([data, data, data, data[:-1], data + b"\0", data * 2, b"", b"\xff" * len(data)]))
    whole = gzip.decompress(packed)
    return rng.choice([
        *[packed] * 5, gzip.compress(whole, 0), gzip.compress(whole[:9]) + gzip.compress(whole[9:]),
        gzip.compress(packed), packed + b"\0" * 9, packed + b"x", whole, packed[:-8], packed[:-8] + rng.randbytes(8),
        gzip.compress(b""), b"",
    ])  # fmt: skip


@pytest.mark.slow
def test_mnist_files_with_other_values(tmp_path):
    """Sound gzip files whose numbers do not fit, those of the images, of the labels beside them, or of both."""
    path, labels = tmp_path / "train-images-idx3-ubyte.gz", tmp_path / "train-labels-idx1-ubyte.gz"
    numbers, of_labels = [0x803, 3, 28, 28], [0x801, 3]

    def damaged(rng: random.Random) -> Path:
        which, values = rng.randrange(3), rng.choice([b"\0\1\2", b"\xff\0\xff"])
        written(labels, idx(of_labels, values) if which == 0 else idx_changed(of_labels, values, rng))
        return written(path, idx(numbers, BLACK) if which == 1 else idx_changed(numbers, BLACK, rng))

    said = refusals(map(damaged, chances(17)), read_source)
    assert COUNT / 4 < len(said) < COUNT
    assert are_lines(said)


# ---- LMDB: its file is pages of 4096 bytes, whose first bytes say what they are and where their entries lie

PAGE = 4096
HEADER = [(0, 8), (8, 2), (10, 2), (12, 2), (14, 2), *((16 + 2 * i, 2) for i in range(8))]  # (place, bytes) of numbers
ABOUT = [(16, 4), (20, 4), (24, 8), (32, 8), (136, 8), (144, 8)]  # of the database, in the first two pages
TREE = [(0, 4), (4, 2), (6, 2), (8, 8), (16, 8), (24, 8), (32, 8), (40, 8)]
TREES = [(start + at, size) for start in (40, 88) for at, size in TREE]  # also there
ENTRY = [(0, 2), (2, 2), (4, 2), (6, 2)]
NUMBERS = [0, 1, 2, 3, 16, PAGE - 1, PAGE, 1 << 15, 1 << 31, 1 << 63, -1]


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> bytes:
    lmdb = pytest.importorskip("lmdb")
    folder = tmp_path_factory.mktemp("whole") / "cat_lmdb"
    with lmdb.open(str(folder), map_size=1 << 20) as database, database.begin(write=True) as transaction:
        for i in range(60):
            transaction.put(f"{i:040x}".encode(), encoded(picture(i, 16)))
    return (folder / "data.mdb").read_bytes()


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "cat_lmdb").mkdir()
    return tmp_path / "cat_lmdb"


def pages_changed(data: bytes, rng: random.Random) -> bytes:
    """One to three of the numbers that pages and their entries begin with are others."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        page = rng.randrange(len(data) // PAGE)
        start, places = page * PAGE, HEADER + (ABOUT + TREES) * 3 if page < 2 else HEADER
        if page >= 2 and rng.random() < 0.5:
            (offset,) = struct.unpack_from("<H", data, start + 16 + 2 * rng.randrange(8))
            start, places = start + offset % PAGE, ENTRY
        at, size = rng.choice(places)
        old = int.from_bytes(data[start + at : start + at + size], "little")
        odd = rng.choice([*NUMBERS, old + 1, old - 1, old ^ 3, page, len(data) // PAGE]) % (1 << 8 * size)
        changed[start + at : start + at + size] = odd.to_bytes(size, "little")
    return bytes(changed[: len(data)])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bytes", "pages"])
def test_lmdb_files_with_changes(folder, database, kind):
    def damaged(rng: random.Random) -> Path:
        if kind == "pages":
            data = pages_changed(database, rng)
        else:
            data = database[: rng.randrange(len(database))] if rng.random() < 0.3 else bytes_changed(database, rng)
        return written(folder / "data.mdb", data).parent

    said = refusals(map(damaged, chances(18)), read_source)
    assert COUNT / 4 < len(said) < COUNT
    assert are_lines(said)


def test_what_is_whole_is_read(tmp_path):
    assert refusal(write_data_set(tmp_path / "a.zip", json.dumps(METADATA).encode()), read_data_set) is None
    archive = write_cifar(tmp_path / "cifar-10-python.tar.gz", {"data_batch_1": cifar_pickle()})
    assert refusal(archive, read_source) is None
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(mnist()))
    assert refusal(tmp_path / "train-images-idx3-ubyte.gz", read_source) is None


def test_a_name_that_runs_on_into_the_file_is_not_shown_whole(tmp_path):
    path = write_data_set(tmp_path / "a.zip", json.dumps(METADATA).encode())
    data = bytearray(path.read_bytes())
    for start in (i for i in range(len(data)) if data[i : i + 4] == b"PK\3\4"):
        data[start + 26 : start + 28] = (1000).to_bytes(2, "little")
    said = refusal(written(path, bytes(data)), read_data_set)
    assert "File name in directory" in said
    assert len(said) < 600


@pytest.mark.parametrize("count", [2**32 - 1, 1 << 30])
def test_bombs_are_refused(tmp_path, count):
    """Sizes are believed only as far as there are bytes."""
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(mnist(count)))
    said = refusals([path], read_source)
    assert len(said) == 1
    assert are_lines(said)
