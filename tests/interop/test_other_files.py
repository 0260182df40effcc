"""Files and addresses that are no networks, or networks of a kind that is not read: every command says so in one line.

Under an audit hook: none starts a program, connects anywhere but to this machine, or writes.
"""

import gzip
import io
import json
import lzma
import os
import pickle
import struct
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import calc_metrics
import convert
import edit
import generate
import projector
import style_mixing
from tests.golden.cases import FOLDER
from tests.interop.hostile import CODE, MARKER, TOUCH
from tests.watching import DEEDS, Watch, files_below

PICKLE = FOLDER / "tiny_reference_nosrc.pkl"
LOCAL = ("127.0.0.1", "localhost")


def _is_local(event: str, arguments: tuple) -> bool:
    """Connections to the server of these tests; folders of the cache, and matplotlib's own."""
    if event.startswith("socket."):
        return any(host in str(arguments) for host in LOCAL)
    return event == "os.mkdir" and any(own in str(arguments[0]) for own in (os.environ["STEERGAN_CACHE"], "matplotlib"))


WATCH = Watch(tuple(deed for deed in DEEDS if not deed.startswith("urllib.")), _is_local)


class Gadget:
    """Runs a program when a pickle of it is loaded."""

    def __reduce__(self):
        return os.system, (TOUCH,)


class Layer(torch.nn.Linear):
    """A module that runs a program when it is loaded."""

    def __reduce__(self):
        return exec, (CODE,)


def commands(network: str, folder: Path) -> dict[str, tuple]:
    """Every program that takes a network, with words that are right but for it."""
    out, picture = f"--outdir={folder / 'out'}", str(Path(__file__).parents[2] / "models/faces32.png")
    given = f"--network={network}"
    return {
        "info": (convert.main, ["info", network]),
        "convert": (convert.main, [network, str(folder / "deep" / "new.safetensors")]),
        "bundle": (convert.main, [network, str(folder / "bundle")]),
        "state dict": (convert.main, [network, str(folder / "deep" / "new.pth")]),
        "generate": (generate.main, [given, "--seeds=0", out]),
        "project": (projector.main, [given, f"--target={picture}", out]),
        "mix": (style_mixing.main, [given, "--rows=0", "--cols=1", out]),
        "drag": (edit.main, ["drag", given, "--seed=0", "--points=0,0>0.4,0", f"--out={folder / 'strip.png'}"]),
        "metrics": (calc_metrics.main, [given, "--metrics=steer"]),
    }


def check(network: str, folder: Path, only: tuple[str, ...] = (), said: str = "") -> None:
    """All commands refuse it in one line, with nothing done. said: what the line has to hold."""
    before = files_below(folder)
    for name, (main, words) in commands(network, folder).items():
        if only and name not in only:
            continue
        with WATCH.watching():
            done = CliRunner().invoke(main, words)
        lines = done.output.strip().splitlines()
        assert (done.exit_code, len(lines)) == (2, 1), f"{name}: {done.output} {done.exception!r}"
        assert lines[0].startswith("Error: "), lines[0]
        assert lines[0].isprintable()
        assert len(lines[0]) < 600 + len(network)
        assert said in lines[0]
        assert WATCH.taken() == {}, name
        assert files_below(folder) == before, name


def zipped(**entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return file.getvalue()


def saved(value: object, **how: bool) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **how)
    return file.getvalue()


def scripted() -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), file)
    return file.getvalue()


def array(value: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(value, dtype=object), allow_pickle=True)
    return file.getvalue()


def arrays(**values: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **{name: np.array([value], dtype=object) for name, value in values.items()})
    return file.getvalue()


def tarred(**entries: bytes) -> bytes:
    """As torch.save wrote in its first year."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


@cache
def bomb() -> bytes:
    """A gigabyte of nothing, packed to a megabyte."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a/data.pkl", "w") as entry:
        for _ in range(64):
            entry.write(bytes(1 << 24))
    return file.getvalue()


def tensors(header: bytes | dict, data: bytes = b"", claims: int | None = None) -> bytes:
    """A safetensors file with a header that is not what it should be."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if claims is None else claims) + text + data


def with_config(config: object, **more: object) -> bytes:
    about = json.dumps({"version": 1, "kimg": 1, "config": config, **more})
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    return tensors({"__metadata__": {"steergan": about}, "G_ema.a": entry}, bytes(4))


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
FILES: dict[str, Callable[[], bytes]] = {
    "a pickle in a zip": lambda: zipped(network_pkl=pickle.dumps(Gadget())),
    "a pickle in a zip like torch.save's": lambda: zipped(archive__data_pkl=pickle.dumps(Gadget())),
    "two pickles in a zip": lambda: zipped(a__data_pkl=pickle.dumps(Gadget()), b__data_pkl=b""),
    "torch.save of a module": lambda: saved(Layer(2, 2)),
    "torch.save of a module, the old way": lambda: saved(Layer(2, 2), _use_new_zipfile_serialization=False),
    "torch.save of a state dict": lambda: saved({"G_ema": torch.nn.Linear(2, 2).state_dict()}),
    "TorchScript": scripted,
    "torch.save of the first year": lambda: tarred(pickle=pickle.dumps(Gadget()), storages=b"", tensors=b""),
    "a pickle of protocol 0": lambda: pickle.dumps(Gadget(), 0),
    "a pickle of protocol 2": lambda: pickle.dumps(Gadget(), 2),
    "a pickle behind a network's": lambda: PICKLE.read_bytes()[:-1] + pickle.dumps(Gadget()),
    "NumPy's objects": lambda: array([Gadget()]),
    "NumPy's objects in an archive": lambda: arrays(w=Gadget(), G_ema=Gadget()),
    "a gigabyte in a zip": bomb,
    "a pickle by gzip": lambda: gzip.compress(PICKLE.read_bytes()),
    "a pickle by xz": lambda: lzma.compress(PICKLE.read_bytes()),
    "a picture with a pickle behind it": lambda: b"\x89PNG\r\n\x1a\n" + bytes(64) + pickle.dumps(Gadget()),
    "HDF5": lambda: b"\x89HDF\r\n\x1a\n" + bytes(2000),
    "ONNX": lambda: b"\x08\x08\x12\x08SteerGAN" + bytes(200),
    "nothing": lambda: b"",
    "text": lambda: b"#!/bin/sh\n" + TOUCH.encode() + b"\n",
    "a page": lambda: b"<!doctype html><title>404</title>" * 10,
    "a pointer of Git LFS": lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\n",
    "a header of 2^60 bytes": lambda: tensors(b"{}", claims=1 << 60),
    "a header of -1 bytes": lambda: tensors(b"{}", claims=(1 << 64) - 1),
    "a header that is a pickle": lambda: tensors(pickle.dumps(Gadget())),
    "a header that nests": lambda: tensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "offsets beyond the file": lambda: tensors({"a": ENTRY | {"data_offsets": [0, 1 << 50]}}, bytes(8)),
    "offsets below zero": lambda: tensors({"a": ENTRY | {"data_offsets": [-8, 0]}}, bytes(8)),
    "offsets that overlap": lambda: tensors({"a": ENTRY, "b": ENTRY}, bytes(8)),
    "a shape of 2^80 numbers": lambda: tensors({"a": ENTRY | {"shape": [1 << 40, 1 << 40]}}, bytes(8)),
    "tensors of somebody else": lambda: tensors({"unet.conv.weight": ENTRY}, bytes(8)),
    "numbers for metadata": lambda: tensors({"__metadata__": {"steergan": 1}, "a": ENTRY}, bytes(8)),
    "a description that is a pickle": lambda: tensors({"__metadata__": {"steergan": "\x80\x04cos\nsystem\n."}}),
    "a description that nests": lambda: tensors({"__metadata__": {"steergan": "[" * 50_000}}),
    "a configuration that names code": lambda: with_config({"method": "!!python/object/apply:os.system [touch x]"}),
    "a configuration of another kind": lambda: with_config(["touch MARKER"]),
    "a version of the future": lambda: with_config({}, version=10**9),
    "a picture of 2^40 pixels": lambda: with_config({"generator": {"img_resolution": 1 << 40}}),
}  # fmt: skip


@pytest.mark.parametrize("suffix", [".pkl", pytest.param(".safetensors", marks=pytest.mark.slow), ""])
@pytest.mark.parametrize("name", FILES)
def test_a_file_is_refused_in_one_line(name: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # where MARKER would be made
    path = tmp_path / f"network{suffix}"
    path.write_bytes(FILES[name]())
    check(str(path), tmp_path, only=("info", "convert", "generate") if suffix != ".pkl" else ())


def test_the_files_would_leave_a_trace():
    assert sum(MARKER.encode() in make() for name, make in FILES.items() if name != "a gigabyte in a zip") >= 10


def _linked(folder: Path, target: str) -> Path:
    link = folder / "link.pkl"
    link.symlink_to(target)
    return link


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _with_snapshot_folder(folder: Path) -> Path:
    (_made(folder / "run") / "network-snapshot-000001.safetensors").mkdir()
    return folder / "run"


def _with_snapshot_link(folder: Path) -> Path:
    (_made(folder / "run") / "network-snapshot-000001.safetensors").symlink_to("/dev/zero")
    return folder / "run"


def _with_snapshot_pickle(folder: Path) -> Path:
    (_made(folder / "run") / "network-snapshot-000001.safetensors").write_bytes(pickle.dumps(Gadget()))
    return folder / "run"


def _fifo(folder: Path, name: str) -> Path:
    os.mkfifo(folder / name)
    return folder / name


def _named(folder: Path, name: str) -> Path:
    (folder / name).write_bytes(pickle.dumps(Gadget()))
    return folder / name


PATHS: dict[str, Callable[[Path], str | Path]] = {
    "no file": lambda folder: folder / "nothing.pkl",
    "an empty folder": lambda folder: _made(folder / "empty"),
    "a folder with a file's name": lambda folder: _made(folder / "net.safetensors"),
    "a folder with a pickle's name": lambda folder: _made(folder / "net.pkl"),
    "a run whose snapshot is a folder": _with_snapshot_folder,
    "a run whose snapshot is a device": _with_snapshot_link,
    "a run whose snapshot is a pickle": _with_snapshot_pickle,
    "a link to itself": lambda folder: _linked(folder, "link.pkl"),
    "a link to nothing": lambda folder: _linked(folder, "nothing"),
    "a link to a device": lambda folder: _linked(folder, "/dev/zero"),
    "a link to a folder": lambda folder: _linked(folder, "."),
    "a link to a pickle": lambda folder: _linked(folder, _named(folder, "real.pkl").name),
    "a device": lambda folder: "/dev/zero",
    "nothing at all": lambda folder: "/dev/null",
    "a FIFO": lambda folder: _fifo(folder, "pipe.pkl"),
    "a FIFO with a snapshot's name": lambda folder: _fifo(folder, "pipe.safetensors"),
    "a process's memory": lambda folder: "/proc/self/mem",
    "a name with a line break": lambda folder: _named(folder, "a\nb.pkl"),
    "a name that colors the screen": lambda folder: _named(folder, "\x1b[31mred.pkl"),
    "a name of 300 letters": lambda folder: folder / ("a" * 300 + ".pkl"),
    "a file as a folder": lambda folder: _named(folder, "net.pkl") / "inside.pkl",
    "a file's address": lambda folder: f"file://{_named(folder, 'net.pkl')}",
    "ftp": lambda folder: "ftp://127.0.0.1/net.pkl",
    "a address with data": lambda folder: "data:application/octet-stream;base64,gASVAAAA",
    "Amazon's": lambda folder: "s3://bucket/net.pkl",
    "capital letters": lambda folder: "HTTP://example.org/net.pkl",
    "no encryption": lambda folder: "http://example.org/net.pkl",
    "a user before it": lambda folder: "http://127.0.0.1@example.org/net.pkl",
    "no host": lambda folder: "https:///net.pkl",
    "a port that is none": lambda folder: "https://127.0.0.1:99999999/net.pkl",
    "brackets": lambda folder: "https://[::1/net.pkl",
    "the hub's parent": lambda folder: "hf://owner/../name/net.pkl",
    "the hub's nothing": lambda folder: "hf://",
}


@pytest.mark.parametrize("name", PATHS)
def test_a_path_or_address_is_refused_in_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    network = str(PATHS[name](tmp_path))
    check(network, tmp_path, only=("info", "convert", "bundle", "generate", "project"))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(302)
        self.send_header("Location", self.server.leads_to)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """It leads on to `leads_to`, whatever is asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


ELSEWHERE = ["file:///etc/passwd", "file://HERE/real.pkl", "ftp://127.0.0.1/net.pkl", "/again.pkl", "data:,x", "//",
             "http://example.org/net.pkl", "http://[::1", "gopher://127.0.0.1/x"]  # fmt: skip


@pytest.mark.parametrize("to", ELSEWHERE)
def test_an_address_that_leads_on_to_elsewhere_is_refused(
    to: str, server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STEERGAN_CACHE", str(tmp_path / "cache"))
    folder = _made(tmp_path / "here")
    _named(folder, "real.pkl")
    server.leads_to = to.replace("HERE", str(folder))
    before = files_below(folder)
    for name in ("info", "convert", "generate"):
        main, words = commands(f"http://127.0.0.1:{server.server_port}/net.pkl", folder)[name]
        done = CliRunner().invoke(main, words)
        assert (done.exit_code, len(done.output.strip().splitlines())) == (2, 1), done.output
        assert "cannot download net.pkl" in done.output
    assert files_below(folder) == before
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.stat().st_size]
    assert kept == []
