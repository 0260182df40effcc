"""Files changed at random, thousands of ways: each is read, or refused in one line; a few that once were not."""

import io
import json
import pickle
import pickletools
import random
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as safetensors

from dnnlib.errors import UserError
from dnnlib.npz_files import read_npz
from metrics import statistics_cache
from metrics.extractors.weights import read_tensors
from tests.mutations import COUNT, bytes_changed, chances, survives, tree_changed, zip_changed
from tests.training.small import make_layout
from training.layouts.edits import load_latents
from training.layouts.files import layout_to_json, load_layout

KEY = {"data": "abc", "mirror": False}
STATISTICS = {"count": torch.tensor(7), "mean": torch.linspace(0, 1, 5, dtype=torch.float64), "sum": torch.eye(3)}
WEIGHTS = {"a.weight": torch.arange(12.0).reshape(3, 4), "a.bias": torch.ones(3, dtype=torch.float16)}
changed_bytes = pytest.mark.parametrize("kind", ["bytes", "structure"])


def layout_file() -> bytes:
    document = layout_to_json(make_layout(2))
    document["layouts"][0]["levels"][1]["strengths"] = [0.5, 1.0]
    for picture in document["layouts"]:
        picture["noise"] = {"kind": "impulse", "seed": 3, "share": 0.25}
    return json.dumps(document).encode()


def npz(save: Callable = np.savez, **arrays: np.ndarray) -> bytes:
    output = io.BytesIO()
    save(output, **arrays)
    return output.getvalue()


def pth(legacy: bool = False) -> bytes:
    output = io.BytesIO()
    torch.save(WEIGHTS, output, _use_new_zipfile_serialization=not legacy)
    return output.getvalue()


def header_changed(data: bytes, chance: random.Random) -> bytes:
    """An array whose header says something else."""
    new = chance.choice([b"<f8", b"|O", b">i2", b"<U9", b"|V0", b"|b1", b"<c8", b"<f2", b"(3,)f4", b"<M8[D]"])
    shape = chance.choice([b"(2,)", b"()", b"(0,)", b"(-1, -5)", b"(9999999999, 9999999999)", b"(1e9,)", b"(1,)*99"])
    parts = data.split(b"'", 4)
    if len(parts) < 5 or chance.random() < 0.4:
        return bytes_changed(data, chance)
    if chance.random() < 0.5:
        return b"'".join([*parts[:3], new, parts[4]])
    start, end = data.find(b"("), data.find(b")")
    return data[:start] + shape + data[end + 1 :]


def pickle_changed(data: bytes, chance: random.Random) -> bytes:
    """Small numbers become large ones or negative, names become others; or any bytes are changed."""
    wanted = chance.choice([b"K", b"X", b"c", b"q", b"J", b"\x85", b"\x86", b"Q", b"R"])
    places = [at for at in range(len(data)) if data[at : at + 1] == wanted]
    if not places or chance.random() < 0.3:
        return bytes_changed(data, chance)
    at = chance.choice(places)
    return chance.choice([
        data[:at] + b"J" + chance.randbytes(4) + data[at + 2 :], data[:at] + b"\x8a\x08" + b"\xff" * 7 + data[at:],
        data[:at] + b"(" + data[at + 1 :], data[:at] + b"N" + data[at + 2 :],
        data[:at] + b"ctorch\nzeros\n" + data[at:],
        data[:at] + b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R" + data[at:], data[:at] + b"]" + data[at:],
    ])  # fmt: skip


def quietly(read: Callable[[Path], object]) -> Callable[[Path], None]:
    def reading(path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(path)

    return reading


def rendered(path: Path) -> None:
    """What is taken for a layout can be drawn."""
    layout = load_layout(path)
    for level in range(len(layout.centers)):
        assert layout.heatmaps(level, 8).isfinite().all()


# ---- thousands


@pytest.mark.slow
@changed_bytes
def test_layouts(tmp_path, kind):
    data = layout_file()
    change = {
        "bytes": lambda chance: bytes_changed(data, chance),
        "structure": lambda chance: json.dumps(tree_changed(json.loads(data), chance)).encode(),
    }[kind]
    taken, refused = survives(tmp_path / "a.json", quietly(rendered), map(change, chances(1)))
    assert taken + len(refused) == COUNT
    assert len(refused) > COUNT / 4


@pytest.mark.slow
@changed_bytes
def test_statistics(kind):
    """Never another one, either: what was saved, or nothing."""
    assert statistics_cache.save("some", KEY, STATISTICS)
    path = statistics_cache.path_of("some", KEY)
    data, found = path.read_bytes(), []
    change = {
        "bytes": lambda chance: bytes_changed(data, chance),
        "structure": lambda chance: zip_changed(data, chance, header_changed),
    }[kind]
    survives(path, quietly(lambda _: found.append(statistics_cache.load("some", KEY))), map(change, chances(2)))
    assert len(found) == COUNT
    assert sum(one is None for one in found) > COUNT / 4
    expected = {name: tensor.tolist() for name, tensor in STATISTICS.items()}
    for one in found:
        assert one is None or {name: tensor.tolist() for name, tensor in one.items()} == expected


@pytest.mark.slow
@changed_bytes
@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_weights(tmp_path, form, kind):
    path = tmp_path / ("a.safetensors" if form == "safetensors" else "a.pth")
    data = safetensors(WEIGHTS) if form == "safetensors" else pth(legacy=form == "legacy")
    structure = {
        "zip": lambda chance: zip_changed(data, chance, pickle_changed),
        "legacy": lambda chance: pickle_changed(data, chance),
        "safetensors": lambda chance: header_of_safetensors_changed(data, chance),
    }[form]
    change = structure if kind == "structure" else lambda chance: bytes_changed(data, chance)
    used = quietly(lambda path: [tensor.sum() for tensor in read_tensors(path).values()])
    taken, refused = survives(path, used, map(change, chances(3)))
    assert taken + len(refused) == COUNT
    assert len(refused) > COUNT / 10


def header_of_safetensors_changed(data: bytes, chance: random.Random) -> bytes:
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(tree_changed(json.loads(data[8 : 8 + length]), chance)).encode()
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


@pytest.mark.slow
@changed_bytes
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_latents(tmp_path, kind, save):
    data = npz(save, w=np.arange(48.0, dtype=np.float32).reshape(2, 3, 8))
    change = {
        "bytes": lambda chance: bytes_changed(data, chance),
        "structure": lambda chance: zip_changed(data, chance, header_changed),
    }[kind]
    taken, refused = survives(tmp_path / "a.npz", quietly(load_latents), map(change, chances(4)))
    assert taken + len(refused) == COUNT
    assert len(refused) > COUNT / 4


# ---- single ones


def stored(content: bytes, name: str = "w.npy", method: int = zipfile.ZIP_STORED) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", method) as archive:
        archive.writestr(name, content)
    return output.getvalue()


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header.encode() + data


def described(shape: str, dtype: str = "<f4") -> str:
    return f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}"


@pytest.mark.parametrize("data, message", [
    (stored(npy(described("(10000000000000,)"))), "has 0 bytes of data, not those of its shape"),
    (stored(npy(described("(-1, -2)"), b"\0" * 8)), "not a readable .npz file"),
    (stored(npy(described("(1,)", "|O"), b"\0" * 8)), "Python objects"),
    (stored(npy("{" * 3000)), "not a readable .npz file"),
    (stored(npy(described("(2,)"), b"\0" * 8, b"\x03\x00")), "not a readable .npz file"),
    (stored(npy(described("(2,)"), b"\0" * 8), method=zipfile.ZIP_BZIP2), "packed as numpy does not do it"),
    (stored(npy(described("(2,)"), b"\0" * 8), method=zipfile.ZIP_LZMA), "packed as numpy does not do it"),
    (stored(b"\0" * 2_000_000, method=zipfile.ZIP_DEFLATED), "its arrays have more than 1,000,000 bytes"),
    (b"", "not a readable .npz file"),
    (pickle.dumps({"w": 1}), "not a readable .npz file"),
    (b"x" * 2_000_000, "is larger than 1,000,000 bytes"),
])  # fmt: skip
def test_arrays_that_are_none(tmp_path, data, message):
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(UserError, match=message) as refusal:
        read_npz(tmp_path / "a.npz", limit=1_000_000)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back(tmp_path, order):
    arrays = {
        "some": np.asarray(np.arange(6, dtype=">i4").reshape(2, 3), order=order), "text": np.array("abc"),
        "none": np.zeros((0, 4), dtype=np.float16), "one": np.float64(2.5),
    }  # fmt: skip
    (tmp_path / "a.npz").write_bytes(npz(np.savez_compressed, **arrays))
    found = read_npz(tmp_path / "a.npz", limit=10_000)
    assert found.keys() == arrays.keys()
    for name, values in found.items():
        np.testing.assert_array_equal(values, arrays[name])
        assert values.dtype == np.asarray(arrays[name]).dtype
    assert read_npz(tmp_path / "a.npz", 10_000, ["one", "two"]).keys() == {"one"}


def test_statistics_with_an_array_gone_are_none():
    statistics_cache.save("some", KEY, STATISTICS)
    path = statistics_cache.path_of("some", KEY)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(path, **arrays)
    assert statistics_cache.load("some", KEY) is not None
    for gone in STATISTICS:
        np.savez(path, **{name: values for name, values in arrays.items() if name != gone})
        assert statistics_cache.load("some", KEY) is None


@pytest.mark.parametrize("content", [
    {"a": torch.zeros(1).expand(1 << 40)},  # 4 TB, were it copied
    {"a": torch.zeros(3).to_sparse()},
    {1: torch.zeros(3)},
    {"a": [torch.zeros(3)]},
    torch.zeros(3),
    bytearray(10),
], ids=["expanded", "sparse", "number", "list", "tensor", "bytes"])  # fmt: skip
def test_weights_that_are_none(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"a\.pth: no file of weights"):
        read_tensors(tmp_path / "a.pth")


def test_no_pickle_of_an_old_file_asks_for_memory(tmp_path):
    """There are five of them one after another, and torch.load reads each."""
    data, call = pth(legacy=True), b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R0"
    starts = pickle_starts(data, 5)
    for start in starts:
        (tmp_path / "a.pth").write_bytes(data[:start] + call + data[start + 2 :])
        with pytest.raises(UserError, match=r"it refers to 'builtins\.bytearray'"):
            read_tensors(tmp_path / "a.pth")


def pickle_starts(data: bytes, count: int) -> list[int]:
    """Where each of the first so many pickles begins."""
    file, found = io.BytesIO(data), []
    for _ in range(count):
        found.append(file.tell())
        assert [opcode.name for opcode, _, _ in pickletools.genops(file)][-1] == "STOP"
    return found


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_weights_that_are_no_file(tmp_path, name):
    with pytest.raises(UserError, match="there is no such file"):
        read_tensors(tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="there is no such file"):
        read_tensors(tmp_path / name)


@pytest.mark.parametrize("change, message", [
    (lambda d: d.update(version=2), "version 2 of layout files"),
    (lambda d: d["layouts"][0]["levels"][0].update(centers=[[10**18, 10**18]]), "is outside"),
    (lambda d: d["layouts"][0]["noise"].update(share=2), "must be in"),
    (lambda d: d["layouts"][0]["noise"].update(kind=[]), "unknown kind of noise"),
    (lambda d: d.update(layouts={"a": 1}), "malformed layout"),
    (lambda d: d.update(layouts=["text"]), "malformed layout"),
    (lambda d: d["layouts"][0].update(noise="text"), "malformed layout"),
    (lambda d: d["layouts"][0]["levels"][0].update(spreads={"a": 1}), "malformed layout"),
])  # fmt: skip
def test_layouts_that_are_none(tmp_path, change, message):
    document = json.loads(layout_file())
    change(document)
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=message):
        load_layout(tmp_path / "a.json")
