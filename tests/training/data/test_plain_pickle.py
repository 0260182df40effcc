"""Pickles as the CIFAR archives have them, and others."""

import array
import pickle
import pickletools
import struct

import numpy as np
import pytest

from dnnlib.pickle_interpreter import NotPlain
from training.data.plain_pickle import PlainArray, load_plain


def python_2_pickle(pixels: np.ndarray, labels: list[int]) -> bytes:
    """The opcodes of the published batches, which Python 2 wrote: texts and arrays as strings of bytes, a memo."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    rows, columns = (b"J" + struct.pack("<i", side) for side in pixels.shape)
    data = pixels.tobytes()
    start = [b"\x80\x02}q\x01(", text(b"batch_label"), b"q\x02", text(b"training batch 1 of 5"), b"q\x03"]
    numbers = [text(b"labels"), b"q\x04]q\x05(", *(b"K" + bytes([label]) for label in labels), b"e"]
    array_made = b"q\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85q\x09"
    made = [text(b"data"), array_made, text(b"b"), b"\x87q\x0aRq\x0b(K\x01", rows, columns, b"\x86q\x0c"]
    type_made = [b"cnumpy\ndtype\nq\x0d", text(b"u1"), b"K\x00K\x01\x87Rq\x0e(K\x03", text(b"|")]
    state = [b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T", struct.pack("<i", len(data)), data, b"q\x0ftbu."]
    return b"".join([*start, *numbers, *made, *type_made, *state])


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)


def test_what_python_2_wrote(pixels):
    found = load_plain(python_2_pickle(pixels, [3, 0, 9]))
    np.testing.assert_array_equal(found.pop("data").value, pixels)
    assert found == {"batch_label": "training batch 1 of 5", "labels": [3, 0, 9]}


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_what_python_3_writes(pixels, protocol):
    content = {"n": None, "yes": True, "no": False, "i": [-1, 255, 70000, 1 << 70], "f": 0.5, "t": ((), (1, "ä"))}
    content |= {"deep": [{"a": [{}]}, (1, 2, 3, 4)], b"key": b"bytes \xff", "empty": b""}
    content["same"] = content["i"]
    found = load_plain(pickle.dumps({**content, "data": pixels}, protocol=protocol))
    np.testing.assert_array_equal(found.pop("data").value, pixels)
    assert found == content
    assert found["same"] is found["i"]


def test_arrays_cannot_be_written_to(pixels):
    assert not load_plain(pickle.dumps(pixels, protocol=2)).value.flags.writeable


class Call:
    """Whatever function with whatever arguments."""

    def __init__(self, *reduced):
        self._reduced = reduced

    def __reduce__(self):
        return self._reduced


RECONSTRUCT = np.zeros(0).__reduce__()[0]


@pytest.mark.parametrize(
    "value, complaint",
    [
        (Call(print, ("this must not run",)), "builtin.*print.*not data"),
        (Call(eval, ("1",)), "not data"),
        (np.array([[1], "x"], dtype=object), "other arguments than arrays of uint8"),
        (np.zeros(3), "other arguments than arrays of uint8"),
        (np.zeros(3, [("a", "u1")]), "other arguments than arrays of uint8"),
        (np.float64(1), "not data"),
        (np.asfortranarray(np.zeros((2, 3), np.uint8)), "column by column"),
        (Call(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (5,), np.dtype("u1"), False, b"1234")), "does not fit"),
        (Call(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (-4,), np.dtype("u1"), False, b"1234")), "does not fit"),
        (Call(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (1 << 62, 0), np.dtype("u1"), False, b"")), "does not fit"),
        (Call(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (4,), np.dtype("u1"), False, [1, 2, 3, 4])), "does not fit"),
        (Call(RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (4,), "u1", False, b"1234")), "not of the type uint8"),
        (Call(RECONSTRUCT, (np.dtype, (0,), b"b")), "other arguments"),
        (Call(np.dtype, ("u1", 0, 1), (3, "|", None, None, None, 8, 8, 63)), "state that uint8 does not have"),
        (Call(np.dtype, ("O", 0, 1), (3, "|", None, None, None, 8, 8, 63)), "other arguments"),
        ({1: 2}, "key is no text"),
        ({(1, 2): 2}, "key is no text"),
        ({1, 2}, "not data"),
        (array.array("d", [1.0]), "not data"),
        (complex(1, 2), "not data"),
    ],
)
def test_everything_else_is_refused(value, complaint, capsys):
    with pytest.raises(NotPlain, match=complaint):
        load_plain(pickle.dumps(value, protocol=2))
    assert "must not run" not in capsys.readouterr().out


def test_the_opcodes_of_later_protocols_are_refused():
    for protocol in (4, 5):
        with pytest.raises(NotPlain, match="opcode"):
            load_plain(pickle.dumps({"a": [1]}, protocol=protocol))


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b".", b"\x80\x02", b"(.", b"t.", b"e.", b"u.", b"R.", b"b.", b"h\x01.", b"q\x01.", b"a.", b"]e."),
        *(b"}(Nu.", b"N(e.", b"N(u.", b"]b.", b"]NR.", b"NNR."),
        *(b"\x85.", b"T\xff\xff\xff\x7fx.", b"X\xff\xff\xff\xff.", b"\xff"),
        *(b"cnumpy\nndarray\n(tR.", b"I1" + b"0" * 10_000 + b"\n.", b"S'\xff'\n.", b"Vx", b"J\x00"),
    ],
)
def test_damaged_pickles_are_refused(data):
    with pytest.raises(NotPlain):
        load_plain(data)


def test_every_cut_is_refused(pixels):
    data = python_2_pickle(pixels[:1, :8], [3])
    for length in range(len(data)):
        with pytest.raises(NotPlain):
            load_plain(data[:length])


def test_nothing_grows_faster_than_the_file():
    """Lists of the same list, doubled again and again, stay as many objects as were made."""
    data = b"]q\x00" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(200)) + b"."
    found = load_plain(data)
    assert found[0] is found[1]
    assert not isinstance(found, PlainArray)


def test_deep_nesting_is_no_recursion():
    found = load_plain(b"]" * 100_000 + b"a" * 99_999 + b".")
    assert len(found) == 1


def test_the_samples_use_the_published_opcodes(pixels):
    names = {opcode.name for opcode, _, _ in pickletools.genops(python_2_pickle(pixels, [1, 2, 3]))}
    assert {"SHORT_BINSTRING", "BINSTRING", "GLOBAL", "REDUCE", "BUILD", "BINPUT", "NEWFALSE", "SETITEMS"} <= names
