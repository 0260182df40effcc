"""Files made to do harm: nothing runs, nothing is written, memory stays small, and one line says what is wrong."""

import io
import struct
import sys
import tracemalloc
from pathlib import Path

import pytest

from dnnlib.errors import CUT, UserError
from dnnlib.pickle_interpreter import NotPlain, load
from interop.pickles.reference_networks import read_reference
from interop.pickles.values import Values
from tests.interop.hostile import GADGETS, MARKER, cases, module, number, pickled, storage, tensor

MOST_MEMORY = 64 << 20  # bytes, for files of less than a megabyte
CASES = cases()


def test_there_are_enough_of_them():
    assert len(CASES) >= 100
    assert len(GADGETS) >= 35


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_one_line_with_nothing_done(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # where MARKER would be made
    path = tmp_path / "network.pkl"
    path.write_bytes(CASES[name])
    before = set(sys.modules)
    tracemalloc.start()
    with pytest.raises(UserError) as caught:
        read_reference(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    said = str(caught.value)
    assert str(path) in said
    assert said.isprintable()  # and so without a line break
    assert len(said) <= CUT + len(str(path))
    assert peak < MOST_MEMORY
    assert [entry.name for entry in tmp_path.iterdir()] == ["network.pkl"]
    assert {"antigravity"}.isdisjoint(set(sys.modules) - before)


@pytest.mark.parametrize("name", GADGETS)
def test_a_name_outside_the_list_is_refused_by_itself(name: str):
    """Not by what else is wrong with the file."""
    where = ".".join(GADGETS[name][:2])[:20]
    with pytest.raises(NotPlain, match="it refers to") as caught:
        load(io.BytesIO(CASES[f"call {name}"]), Values(1 << 20))
    assert where in str(caught.value)


def test_the_markers_would_be_made():
    """What the gadgets ask for is what would leave a trace."""
    assert sum(MARKER.encode() in file for file in CASES.values()) > 20


def test_steps_are_counted():
    with pytest.raises(NotPlain, match="more than 1,000 steps"):
        load(io.BytesIO(b"\x80\x04" + b"N0" * 501 + b"N."), Values(1 << 20), most=1000)


def test_a_claimed_length_allocates_nothing():
    claims = io.BytesIO(b"\x80\x04\x8e" + (1 << 50).to_bytes(8, "little") + b"abc.")
    with pytest.raises(NotPlain, match="damaged"):
        load(claims, Values(1 << 20))


def test_a_persistent_object_is_made_without_its_source():
    found = load(io.BytesIO(pickled(module("Generator", z_dim=number(7)))), Values(1 << 20))
    assert (found.class_name, dict(found.state)) == ("Generator", {"z_dim": 7})


def test_a_tensor_is_read_by_offset_and_strides():
    stored = storage(6, data=struct.pack("<6f", *range(6)))
    turned = tensor(stored, offset=b"K\x01", shape=b"K\x02K\x02\x86", strides=b"K\x01K\x02\x86")
    found = load(io.BytesIO(pickled(turned)), Values(1 << 20))
    assert found.tensor().tolist() == [[1, 3], [2, 4]]
