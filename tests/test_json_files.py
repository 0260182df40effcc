"""JSON that is damaged, hostile or no file at all: one line naming the file, at once."""

import json
import os
from pathlib import Path

import pytest

from dnnlib.errors import UserError
from dnnlib.json_files import parse_json, read_json


@pytest.mark.parametrize("value", [
    None, True, 0, -1, 2**64 - 1, -(2**63), 1.5, 1e308, "", "ü", [], {}, {"a": [1, {"b": None}]}, [[]] * 1000
], ids=lambda value: repr(value)[:12])  # fmt: skip
def test_what_is_written_is_read(tmp_path, value):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    assert read_json(path) == value


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(path) == {"a": 1}


@pytest.mark.parametrize("data, message", [
    (b"", ":1: not valid JSON: Expecting value"),
    (b"\n\n{", ":3: not valid JSON"),
    (b'{"a": 1,}', ":1: not valid JSON"),
    (b"\x00", ":1: not valid JSON"),
    (b'"a\x00b"', ":1: not valid JSON: Invalid control character"),
    (b'"\xff"', r": not a JSON text file \(byte 1 is not UTF-8\)"),
    ("{}".encode("utf-16"), ": not a JSON text file"),
    (b"[NaN]", ": not valid JSON: NaN is no number"),
    (b"[-Infinity]", ": not valid JSON: -Infinity is no number"),
    (b"1e999", ": the number 1e999 is too large"),
    (b"[18446744073709551616]", ": the number 18446744073709551616 is too large"),
    (b"-9223372036854775809", ": the number -9223372036854775809 is too large"),
    (b"1" * 5000, ": the number 1{24} is too large"),
    (b'{"a": {"b": 1, "c": 2, "b": 3}}', ": the key 'b' is there twice in one object"),
    (b"[" * 101 + b"]" * 101, ": lists and objects nest more than 100 deep"),
    (b'{"a":' * 1000 + b"1" + b"}" * 1000, ": lists and objects nest more than 100 deep"),
    (b"[" * 1_000_000, ": lists and objects nest more than 100 deep"),
    (b"[" * 100_000 + b"]" * 100_000, ": lists and objects nest more than 100 deep"),
], ids=lambda value: value[:12] if isinstance(value, bytes) else "")  # fmt: skip
def test_anything_else_is_one_line(tmp_path, data, message):
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(UserError, match=f"^{path}{message}") as refusal:
        read_json(path)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < len(str(path)) + 100


def test_a_key_twice_among_many_is_found_at_once():
    keys = ",".join(f'"{number}":0' for number in [*range(100_000), 99_999])
    with pytest.raises(UserError, match="the key '99999' is there twice"):
        parse_json(f"{{{keys}}}", "text")


def test_a_hundred_deep_is_read():
    assert parse_json("[" * 100 + "]" * 100, "text") is not None


def test_a_large_file_is_not_read_whole(tmp_path):
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # no blocks are taken for it
    with pytest.raises(UserError, match=r"larger than 1,000 bytes"):
        read_json(path, limit=1000)


def fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("make, message", [
    (lambda path: None, "cannot read .*No such file"),
    (Path.mkdir, "cannot read .*Is a directory"),
    (fifo, "is not a regular file"),
    (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
    (lambda path: path.symlink_to(path), "cannot read .*symbolic links"),
], ids=["absent", "directory", "fifo", "device", "loop"])  # fmt: skip
def test_what_is_no_file(tmp_path, make, message):
    make(tmp_path / "a.json")
    with pytest.raises(UserError, match=message):
        read_json(tmp_path / "a.json")


def test_a_name_with_a_nul_byte():
    with pytest.raises(UserError, match=r"cannot read 'a\\x00b'"):
        read_json("a\0b")
