"""Uploading to the hub, with its own library, against a stand-in for it."""

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from convert import main
from interop.hub_files import ENDPOINT
from tests.optional import is_installed
from tests.tiny_models import save_tiny_snapshot

BREAK = 0  # in the place of a status: the connection breaks off
pytestmark = pytest.mark.skipif(not is_installed("huggingface_hub"), reason="needs the extra hub")


class Hub(ThreadingHTTPServer):
    """Takes repositories and commits; `files`: what has arrived; `statuses`: {stage: status} of stages that fail.

    is_large: whether it wants networks in its store for large files (the library's own way of doing so without xet).
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.stored: dict[str, bytes] = {}  # large files by their digest
        self.statuses: dict[str, int] = {}
        self.tokens, self.made, self.is_large = set(), [], False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tokens.add(self.headers.get("Authorization"))
        stages = {"create": self._create, "preupload": self._modes, "batch": self._batch, "commit": self._commit}
        for stage, answer in stages.items():
            if stage in self.path.split("?")[0].split("/"):
                return self._answer(stage, answer, body)
        return self._answer("card", lambda body: {"errors": [], "warnings": []}, body)  # of the card's head

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        return self._answer("put", lambda body: self.server.stored.update({self.path.rpartition("/")[2]: body}), body)

    def do_GET(self):  # of a repository that may be there although it cannot be made
        self._answer("get", lambda body: {}, b"")

    def _create(self, body: bytes) -> dict:
        self.server.made.append(json.loads(body))
        return {"url": f"{self.server.address}/owner/name", "name": "owner/name"}

    def _modes(self, body: bytes) -> dict:
        large = lambda path: "lfs" if self.server.is_large and path.endswith(".safetensors") else "regular"  # noqa: E731
        files = json.loads(body)["files"]
        return {"files": [{"path": f["path"], "uploadMode": large(f["path"]), "shouldIgnore": False} for f in files]}

    def _batch(self, body: bytes) -> dict:
        put = lambda oid: {"upload": {"href": f"{self.server.address}/store/{oid}"}}  # noqa: E731
        wanted = json.loads(body)["objects"]
        return {"transfer": "basic", "objects": [{**each, "actions": put(each["oid"])} for each in wanted]}

    def _commit(self, body: bytes) -> dict:
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                self.server.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.server.files[value["path"]] = self.server.stored[value["oid"]]
        commit = "b" * 40
        address = f"{self.server.address}/owner/name/commit/{commit}"
        return {"success": True, "commitUrl": address, "commitOid": commit, "hookOutput": ""}

    def _answer(self, stage: str, answer: Callable[[bytes], dict | None], body: bytes) -> None:
        status = self.server.statuses.get(stage, 200)
        if status == BREAK:
            return self.connection.shutdown(socket.SHUT_RDWR)
        data = json.dumps(answer(body) if status == 200 else {"error": "no"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    server = Hub()
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    monkeypatch.setenv(ENDPOINT, server.address)
    monkeypatch.setenv("HF_TOKEN", "hf_of_this_test")
    yield server
    server.shutdown()
    server.server_close()


def push(*words: str):
    return CliRunner().invoke(main, ["push", *words])


def test_a_snapshot_and_its_card_arrive(hub: Hub, tmp_path: Path):
    snapshot = save_tiny_snapshot(tmp_path)
    done = push("hf://owner/name", str(tmp_path), "--license=mit")
    assert done.exit_code == 0, done.output
    assert done.output == f"uploaded to {hub.address}/owner/name\n"
    assert sorted(hub.files) == ["README.md", "network-snapshot-000001.safetensors", "steering.png"]
    assert hub.files[snapshot.name] == snapshot.read_bytes()
    assert b"license: mit" in hub.files["README.md"]
    assert hub.tokens == {"Bearer hf_of_this_test"}
    assert hub.made[0]["visibility"] == "public"


def test_a_network_goes_to_the_store_for_large_files(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    snapshot, hub.is_large = save_tiny_snapshot(tmp_path), True
    done = push("hf://owner/name", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert hub.files[snapshot.name] == snapshot.read_bytes()
    assert list(hub.stored) == [hashlib.sha256(snapshot.read_bytes()).hexdigest()]


LOGIN, RIGHTS = "log in by `hf auth login`, or set HF_TOKEN", "HF_TOKEN has to be a token that may write there"
NOTHING, ALL_OR_NONE = "; nothing has been made there", "is there, with all files of this upload or none; the same"


@pytest.mark.parametrize("stage, status, said, remains", [
    ("create", 401, LOGIN, NOTHING),
    ("create", 400, "", NOTHING),
    ("create", BREAK, "", NOTHING),
    ("preupload", 403, RIGHTS, ALL_OR_NONE),
    ("batch", 403, RIGHTS, ALL_OR_NONE),
    ("put", 403, RIGHTS, ALL_OR_NONE),
    ("commit", 412, "", ALL_OR_NONE),
    ("commit", BREAK, "", ALL_OR_NONE),
])  # fmt: skip
def test_an_upload_that_fails_midway_is_one_line(hub, tmp_path, monkeypatch, stage, status, said, remains):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the library's tries
    save_tiny_snapshot(tmp_path)
    hub.is_large, hub.statuses = True, {stage: status, "get": 404}
    done = push("hf://owner/name", str(tmp_path))
    assert done.exit_code == 2
    assert done.output.startswith("Error: hf://owner/name: not uploaded (")
    assert said in done.output
    assert remains in done.output
    assert len(done.output.splitlines()) == 1, done.output
    assert hub.files == {}
    assert bool(hub.made) == (remains is ALL_OR_NONE)
    hub.statuses = {}
    assert push("hf://owner/name", str(tmp_path)).exit_code == 0  # the same command goes through
    assert len(hub.files) == 3


def test_an_address_of_a_file_is_refused(tmp_path: Path):
    save_tiny_snapshot(tmp_path)
    done = push("hf://owner/name/file.pkl", str(tmp_path))
    assert done.exit_code == 2
    assert "give hf://owner/name alone" in done.output
