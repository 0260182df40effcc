"""Downloads from a server on this machine that breaks off, knows no ranges, or sends something else."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.pool import ThreadPool

import pytest

from dnnlib.cache import cache_dir
from dnnlib.downloads import BLOCK, TRIES, RemoteFile, fetch
from dnnlib.errors import UserError

CONTENT = bytes(range(256)) * 4000


class Server(ThreadingHTTPServer):
    """Sends CONTENT; `breaks`: bytes after which each of the next answers ends."""

    daemon_threads = True

    def __init__(self, content=CONTENT, knows_ranges=True):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.knows_ranges = content, knows_ranges
        self.breaks: list[int] = []
        self.starts: list[int] = []

    def file(self, name="weights.pth") -> RemoteFile:
        url = f"http://127.0.0.1:{self.server_port}/{name}"
        return RemoteFile(name, url, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.knows_ranges else 0
        server.starts.append(start)
        if start >= len(server.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        end = start + server.breaks.pop(0) if server.breaks else None
        self.wfile.write(server.content[start:end])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(**options) -> Server:
        servers.append(Server(**options))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_file_is_fetched_once(serve, tmp_path):
    server = serve()
    for _ in range(2):
        path = fetch(server.file(), tmp_path / "cache")
    assert path == tmp_path / "cache" / "weights.pth"
    assert path.read_bytes() == CONTENT
    assert server.starts == [0]
    assert [p.name for p in path.parent.iterdir()] == ["weights.pth"]


def test_a_broken_connection_is_taken_up_where_it_broke(serve, tmp_path):
    server = serve()
    server.breaks = [4 * BLOCK + 7, 3 * BLOCK + 7]
    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT
    assert server.starts == [0, 4 * BLOCK, 7 * BLOCK]


def test_the_next_call_goes_on_too(serve, tmp_path):
    server = serve()
    server.breaks = [2 * BLOCK] * TRIES
    with pytest.raises(UserError, match=r"cannot download weights\.pth"):
        fetch(server.file(), tmp_path)
    assert not (tmp_path / "weights.pth").exists()
    assert (tmp_path / "weights.pth.part").stat().st_size == 2 * BLOCK * TRIES
    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT
    assert server.starts[-1] == 2 * BLOCK * TRIES


def test_a_server_without_ranges_begins_anew(serve, tmp_path):
    server = serve(knows_ranges=False)
    server.breaks = [300_000]
    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT


def test_more_than_the_whole_is_thrown_away(serve, tmp_path):
    (tmp_path / "weights.pth.part").write_bytes(CONTENT + b"and more")
    assert fetch(serve().file(), tmp_path).read_bytes() == CONTENT


def test_something_else_is_refused_and_not_kept(serve, tmp_path):
    with pytest.raises(UserError, match="is not the published file") as refusal:
        fetch(serve(content=CONTENT[::-1]).file(), tmp_path)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "weights.pth").exists()
    assert fetch(serve().file(), tmp_path).read_bytes() == CONTENT


def test_a_damaged_file_is_fetched_again(serve, tmp_path):
    (tmp_path / "weights.pth").write_bytes(CONTENT[:1000])
    assert fetch(serve().file(), tmp_path).read_bytes() == CONTENT


def test_offline_the_message_names_file_address_and_place(serve, tmp_path):
    server = serve()
    file = server.file()
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError) as refusal:
        fetch(file, tmp_path)
    message = str(refusal.value)
    assert "\n" not in message
    for part in ("weights.pth", file.url, str(tmp_path / "weights.pth"), "--weights"):
        assert part in message


def test_several_at_once_download_once(serve, tmp_path):
    server = serve()
    with ThreadPool(4) as pool:
        paths = pool.map(lambda _: fetch(server.file(), tmp_path), range(4))
    assert set(paths) == {tmp_path / "weights.pth"}
    assert paths[0].read_bytes() == CONTENT
    assert server.starts == [0]


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("STEERGAN_CACHE", str(tmp_path / "mine"))
    assert cache_dir() == tmp_path / "mine"
    monkeypatch.delenv("STEERGAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users"))
    assert cache_dir() == tmp_path / "users" / "steergan"
