"""Damage to safetensors files: bytes changed at random, and headers whose structure is changed."""

import copy
import json
import random
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch_utils.tensor_files import CHECKSUMS

ODD_VALUES = [
    None, True, -1, 0, 1, 2**31, 2**53, 2**63, 2**64, 10**30, -(10**30), 1e308, -1e308, 0.5, float("nan"), float("inf"),
    "", "x", "9" * 5000, "é\x00\U0001f600", [], [[]], {}, {"a": 1}, [1] * 1000, {"": {}}, "../../x", "null",
]  # fmt: skip


def nested(depth: int) -> Any:
    """Lists within lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Change, insert, remove or cut off; mostly within the header, where there is something to understand."""
    changed, header = bytearray(data), struct.unpack("<Q", data[:8])[0] + 8
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        place = rng.randrange(min(len(changed), header if rng.random() < 0.8 else len(changed)))
        kind = rng.randrange(5)
        if kind == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[place] = rng.randrange(256)
        elif kind == 2:
            del changed[place : place + rng.randint(1, 64)]
        elif kind == 3:
            changed[place:place] = rng.randbytes(rng.randint(1, 64))
        else:
            del changed[max(place, 1) :]
    return bytes(changed)


def mutated_structure(data: bytes, rng: random.Random) -> bytes:
    """A file with a sound length and JSON, in which something else stands for some values.

    Half of them are without checksums, as files from before there were any.
    """
    length = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    if rng.random() < 0.5:
        header["__metadata__"].pop(CHECKSUMS, None)
    for _ in range(rng.choice([1, 1, 2])):
        with suppress(RecursionError):  # of a description that is nested too deeply already
            _change(header, rng)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def _change(header: dict, rng: random.Random) -> None:
    """One change: in a tensor's entry, in the description within the metadata, or of the metadata itself."""
    kind, metadata = rng.randrange(8), header["__metadata__"]
    name = rng.choice([key for key in header if key != "__metadata__"])
    if kind == 0:
        header[name][rng.choice(["dtype", "shape", "data_offsets"])] = _odd(rng)
    elif kind == 1:
        header[name]["dtype"] = rng.choice(["F64", "F32", "F16", "BF16", "I64", "U8", "BOOL", "F8_E5M2", "F4", "U64"])
    elif kind == 2:
        part = header[name][rng.choice(["shape", "data_offsets"])]
        if part:
            part[rng.randrange(len(part))] = _odd(rng)
    elif kind == 3:
        header[rng.choice(["x", "G.x", "stream.0.x", "optimizer.G.999.step", name + "é"])] = header.pop(name)
    elif kind == 4:
        entry = rng.choice(list(metadata))
        metadata[entry] = rng.choice(["", "{", "[" * 100_000, "[]", "null", json.dumps(_odd(rng)), "1" * 10_000])
    else:
        entry = next(key for key in metadata if key != CHECKSUMS)
        try:
            about = json.loads(metadata[entry])
        except ValueError:
            return
        metadata[entry] = json.dumps(_with_odd_value(about, rng))


def _with_odd_value(tree: Any, rng: random.Random) -> Any:
    """A copy in which one value, at any depth, is another, or gone, or has company."""
    tree = copy.deepcopy(tree)
    places = list(_places(tree))
    if not places:
        return _odd(rng)
    parent, key = rng.choice(places)
    kind = rng.randrange(8)
    if kind == 0 and isinstance(parent, dict):
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[rng.choice(["x", "__class__", ""])] = _odd(rng)
    elif kind == 2 and isinstance(parent[key], int | float):
        parent[key] = parent[key] * rng.choice([-1, 0, 2, 3, 2**20, 2**40, 10**9])
    else:
        parent[key] = _odd(rng)
    return tree


def _places(tree: Any):
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from _places(tree[key])


def _odd(rng: random.Random) -> Any:
    return nested(rng.choice([3, 100, 900])) if rng.random() < 0.1 else rng.choice(ODD_VALUES)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
