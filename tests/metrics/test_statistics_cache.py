"""Statistics on disk: by key, whole, and from several writers."""

import zipfile
from multiprocessing.pool import ThreadPool

import pytest
import torch

from metrics import statistics_cache
from metrics.statistics_cache import load, path_of, save

KEY = {"data": "abc", "mirror": False}
TENSORS = {"count": torch.tensor(7), "mean": torch.rand(5, dtype=torch.float64)}


def assert_same(found: dict | None) -> None:
    assert found is not None
    assert {name: value.tolist() for name, value in found.items()} == {n: v.tolist() for n, v in TENSORS.items()}
    assert found["mean"].dtype == torch.float64


def test_there_and_back():
    assert load("animals", KEY) is None
    assert save("animals", KEY, TENSORS)
    assert_same(load("animals", KEY))


@pytest.mark.parametrize("other", [{"data": "abd"}, {"mirror": True}, {"more": 1}])
def test_another_key_has_another_file(other):
    save("animals", KEY, TENSORS)
    assert load("animals", KEY | other) is None


def test_a_file_of_another_key_under_this_name_is_not_taken():
    save("animals", KEY, TENSORS)
    other = KEY | {"mirror": True}
    path_of("animals", KEY).rename(path_of("animals", other))
    assert load("animals", other) is None


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_part_of_a_file_is_none(share):
    save("animals", KEY, TENSORS)
    path = path_of("animals", KEY)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert load("animals", KEY) is None
    assert save("animals", KEY, TENSORS)
    assert_same(load("animals", KEY))


def test_a_flipped_bit_is_noticed():
    save("animals", KEY, TENSORS)
    path = path_of("animals", KEY)
    with zipfile.ZipFile(path) as file:
        start = file.getinfo("mean.npy").header_offset
    content = bytearray(path.read_bytes())
    content[start + 180] ^= 1
    path.write_bytes(content)
    assert load("animals", KEY) is None


def test_writers_and_readers_at_once():
    def work(number: int) -> bool:
        found = load("animals", KEY)
        return save("animals", KEY, TENSORS) if found is None or number % 2 else len(found) == len(TENSORS)

    with ThreadPool(8) as pool:
        assert all(pool.map(work, range(64)))
    assert_same(load("animals", KEY))
    assert [path.suffix for path in path_of("animals", KEY).parent.iterdir()] == [".npz"]


def test_too_much_is_not_kept(monkeypatch):
    monkeypatch.setattr(statistics_cache, "LIMIT", 10)
    assert not save("animals", KEY, TENSORS)
    assert load("animals", KEY) is None
