"""Uploading to the hub, with its own library, against a stand-in for it."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from convert import main
from interop.remote import ENDPOINT
from tests.optional import is_installed
from tests.tiny_models import save_tiny_snapshot

pytestmark = pytest.mark.skipif(not is_installed("huggingface_hub"), reason="needs the extra hub")


class Hub(ThreadingHTTPServer):
    """Takes repositories and commits; `files`: what has arrived; `status`: of every answer."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.status, self.tokens, self.made = 200, set(), []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tokens.add(self.headers.get("Authorization"))
        if self.path == "/api/repos/create":
            self.server.made.append(json.loads(body))
            return self._answer({"url": f"{self.server.address}/owner/name", "name": "owner/name"})
        if "/preupload/" in self.path:
            wanted = json.loads(body)["files"]
            how = {"uploadMode": "regular", "shouldIgnore": False}
            return self._answer({"files": [{"path": file["path"], **how} for file in wanted]})
        if "/commit/" not in self.path:
            return self._answer({"errors": [], "warnings": []})  # of the card's head
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        commit = "b" * 40
        address = f"{self.server.address}/owner/name/commit/{commit}"
        return self._answer({"success": True, "commitUrl": address, "commitOid": commit, "hookOutput": ""})

    def _answer(self, value: dict) -> None:
        data = json.dumps(value).encode()
        self.send_response(self.server.status)
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


def test_a_hub_that_refuses_is_one_line(hub: Hub, tmp_path: Path):
    save_tiny_snapshot(tmp_path)
    hub.status = 403
    done = push("hf://owner/name", str(tmp_path))
    assert done.exit_code == 2
    assert done.output.startswith("Error: hf://owner/name: not uploaded (")
    assert len(done.output.splitlines()) == 1
    assert hub.files == {}


def test_an_address_of_a_file_is_refused(tmp_path: Path):
    save_tiny_snapshot(tmp_path)
    done = push("hf://owner/name/file.pkl", str(tmp_path))
    assert done.exit_code == 2
    assert "give hf://owner/name alone" in done.output
