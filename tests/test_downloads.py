"""Downloads from a server on this machine that breaks off, knows no ranges, drips, or sends something else."""

import hashlib
import io
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.pool import ThreadPool

import pytest
import requests

from dnnlib.cache import cache_dir
from dnnlib.downloads import BLOCK, TRIES, Limits, RemoteFile, fetch, leave_redirection
from dnnlib.errors import UserError

CONTENT = bytes(range(256)) * 4000


class Server(ThreadingHTTPServer):
    """Sends CONTENT; `breaks`: bytes after which each of the next answers ends; `instead`: what answers for a while."""

    daemon_threads = True

    def __init__(self, content=CONTENT, knows_ranges=True):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.knows_ranges = content, knows_ranges
        self.breaks: list[int] = []
        self.starts: list[int] = []
        self.instead: list[Callable[[Handler], None]] = []
        self.stopped = threading.Event()

    def file(self, name="weights.pth") -> RemoteFile:
        url = f"http://127.0.0.1:{self.server_port}/{name}"
        return RemoteFile(name, url, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.knows_ranges else 0
        server.starts.append(start)
        if server.instead:
            server.instead.pop(0)(self)
            return
        if start >= len(server.content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(server.content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.end_headers()
        end = start + server.breaks.pop(0) if server.breaks else None
        self.wfile.write(server.content[start:end])

    def log_message(self, *arguments):
        pass

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def drip(self) -> None:
        """A byte now and then until the test ends: never a pause that a socket's time limit would notice."""
        while not self.server.stopped.wait(0.05):
            self.wfile.write(b"x")


@pytest.fixture
def serve():
    servers = []

    def start(**options) -> Server:
        servers.append(Server(**options))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.stopped.set()
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


def part_of(folder, content=CONTENT[: 3 * BLOCK]):
    """A part that an earlier download left."""
    part = folder / "weights.pth.part"
    part.write_bytes(content)
    return part


def refusal_of(file, folder, **limits) -> str:
    """The one line with which a download is given up."""
    with pytest.raises(UserError) as refusal:
        fetch(file, folder, limits=Limits(**limits))
    message = str(refusal.value)
    assert "\n" not in message
    assert message.isprintable()
    assert not (folder / "weights.pth").exists()
    return message


REFUSALS = {
    "500": lambda handler: handler.answer(500, b"trouble"),
    "404": lambda handler: handler.answer(404),
    "no content": lambda handler: handler.answer(204),
    "another status": lambda handler: handler.answer(203, b"trouble"),
    "compressed": lambda handler: handler.answer(200, b"trouble", Content_Encoding="gzip"),
    "terminal codes": lambda handler: handler.send_response(500, "\x1b[31mred") or handler.end_headers(),
    "redirection to nonsense": lambda handler: handler.answer(302, Location="http://[::"),
    "redirection to a file": lambda handler: handler.answer(302, Location="file:///etc/hostname"),
    "part, no range": lambda handler: handler.answer(206, CONTENT),
    "another range": lambda handler: handler.answer(206, CONTENT, Content_Range="bytes 0-9/1024000"),
    "416": lambda handler: handler.answer(416),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_an_error_of_the_server_leaves_the_part(serve, tmp_path, what):
    server, part = serve(), part_of(tmp_path)
    server.instead = [REFUSALS[what]] * TRIES
    assert "cannot download weights.pth: " in refusal_of(server.file(), tmp_path)
    assert part.read_bytes() == CONTENT[: 3 * BLOCK]
    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT
    assert server.starts[0] == server.starts[-1] == 3 * BLOCK


def test_after_an_error_the_same_call_goes_on(serve, tmp_path):
    server, _ = serve(), part_of(tmp_path)
    server.instead = [REFUSALS["500"]]
    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT
    assert server.starts == [3 * BLOCK, 3 * BLOCK]


def test_another_range_than_asked_for_begins_anew(serve, tmp_path):
    server, _ = serve(), part_of(tmp_path)
    server.instead = [REFUSALS["another range"]]
    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT
    assert server.starts == [3 * BLOCK, 0]


def test_a_whole_part_is_not_fetched_again(serve, tmp_path):
    server, _ = serve(), part_of(tmp_path, CONTENT)
    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT
    assert server.starts == []


def test_a_whole_part_of_another_file_begins_anew(serve, tmp_path):
    part_of(tmp_path, CONTENT[::-1])
    assert fetch(serve().file(), tmp_path).read_bytes() == CONTENT


def test_a_file_said_to_be_too_large_is_refused_before_the_part_is_touched(serve, tmp_path):
    server, part = serve(content=CONTENT + b"and more"), part_of(tmp_path)
    assert f"it has {len(CONTENT) + 8} bytes, not {len(CONTENT)}" in refusal_of(server.file(), tmp_path)
    server.knows_ranges = False
    assert f"it has more than {len(CONTENT)} bytes" in refusal_of(server.file(), tmp_path)
    assert part.read_bytes() == CONTENT[: 3 * BLOCK]
    assert len(server.starts) == 2  # no further tries


# ---- without a published digest


def undigested(server: Server) -> RemoteFile:
    return replace(server.file(), sha256="", size=0)


def versions(server: Server, *texts: str) -> None:
    """The next answers are whole files, or their rest, of these versions; each breaks off, but the last."""
    pieces = [3 * BLOCK + 7] * (len(texts) - 1) + [len(CONTENT)]

    def answers(version: str, piece: int):
        def answer(handler) -> None:
            same = handler.headers.get("If-Range", version) == version
            start = server.starts[-1] if same else 0
            handler.send_response(206 if start else 200)
            handler.send_header("ETag", version)
            handler.send_header("Content-Length", str(len(CONTENT) - start))
            if start:
                handler.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
            handler.end_headers()
            handler.wfile.write(CONTENT[start : start + piece])

        return answer

    server.instead = [answers(*pair) for pair in zip(texts, pieces, strict=True)]


def test_without_a_digest_the_same_version_is_taken_up_where_it_broke(serve, tmp_path):
    server = serve()
    versions(server, '"a"', '"a"')
    assert fetch(undigested(server), tmp_path).read_bytes() == CONTENT
    assert server.starts == [0, 3 * BLOCK]


def test_without_a_digest_another_version_comes_whole(serve, tmp_path):
    server = serve()
    versions(server, '"a"', '"b"')
    assert fetch(undigested(server), tmp_path).read_bytes() == CONTENT
    assert (tmp_path / "weights.pth").stat().st_size == len(CONTENT)


def test_without_a_digest_or_a_version_it_begins_anew(serve, tmp_path):
    server = serve()
    server.breaks = [3 * BLOCK]
    (tmp_path / "weights.pth.part").write_bytes(b"of another file" * 10000)
    assert fetch(undigested(server), tmp_path).read_bytes() == CONTENT
    assert server.starts == [0, 0]


def test_an_empty_file_is_refused_and_not_kept(serve, tmp_path):
    server = serve(content=b"")
    server.instead = [lambda handler: handler.answer(200, Content_Length="0")] * TRIES
    assert "sent an empty file" in refusal_of(undigested(server), tmp_path)
    assert not (tmp_path / "weights.pth").exists()


def test_a_file_that_is_said_to_be_huge_is_not_fetched(serve, tmp_path):
    server = serve()
    server.instead = [lambda handler: handler.answer(200, b"x", Content_Length=str(10**15))]
    assert "it has more than 4294967296 bytes" in refusal_of(undigested(server), tmp_path)
    assert len(server.starts) == 1


def test_a_redirection_away_from_encryption_is_not_followed(serve, tmp_path):
    server = serve()
    server.instead = [lambda handler: handler.answer(302, Location="http://example.org/a.pkl")] * TRIES
    assert "leads on to an address that is not https://" in refusal_of(undigested(server), tmp_path)


@pytest.mark.parametrize("start, target, is_followed", [
    ("https://a.org/x", "https://b.org/y", True),
    ("https://a.org/x", "/y", True),
    ("https://a.org/x", "http://a.org/y", False),
    ("https://a.org/x", "//b.org/y", True),
    ("http://mirror/x", "http://mirror/y", True),
])  # fmt: skip
def test_which_redirections_are_followed(start: str, target: str, is_followed: bool):
    answer = requests.Response()
    answer.raw = io.BytesIO()
    answer.url, answer.status_code, answer.headers["location"] = start, 302, target
    with nullcontext() if is_followed else pytest.raises(requests.RequestException, match="not https"):
        leave_redirection(answer)


def endless(handler) -> None:
    handler.answer(200)
    try:
        while not handler.server.stopped.is_set():
            handler.wfile.write(bytes(BLOCK))
    except OSError:
        pass


@pytest.mark.parametrize("known", [True, False])
def test_a_file_without_an_end_is_refused_and_not_kept(serve, tmp_path, known):
    server = serve()
    server.instead = [endless]
    file = server.file() if known else replace(server.file(), size=0)
    limit = len(CONTENT) if known else 5 * BLOCK
    assert f"it has more than {limit} bytes" in refusal_of(file, tmp_path, unknown_size=5 * BLOCK)
    assert (tmp_path / "weights.pth.part").read_bytes() == b""
    assert server.starts == [0]


def test_the_body_of_a_redirection_is_not_read(serve, tmp_path):
    server = serve()

    def moved(handler):
        handler.answer(302, Location="/there")
        handler.drip()

    server.instead = [moved]
    assert fetch(server.file(), tmp_path, limits=Limits(head=5)).read_bytes() == CONTENT


def drip_body(handler) -> None:
    handler.answer(206, Content_Range=f"bytes {3 * BLOCK}-{len(CONTENT) - 1}/{len(CONTENT)}")
    handler.drip()


def drip_head(handler) -> None:
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nX-Long: ")
    handler.drip()


@pytest.mark.parametrize(
    "drip, limits, complaint",
    [
        (drip_body, {"block": 0.3}, "less than 64 KiB came in 0.3 s"),
        (drip_head, {"head": 0.3}, "no answer within 0.3 s"),
        (drip_body, {"whole": 0.5}, "not finished within 0.5 s"),
        (drip_head, {"whole": 0.5}, "not finished within 0.5 s"),
    ],
)
def test_a_server_that_drips_is_given_up(serve, tmp_path, drip, limits, complaint):
    server, part = serve(), part_of(tmp_path)
    server.instead = [drip] * TRIES
    began = time.monotonic()
    assert complaint in refusal_of(server.file(), tmp_path, **limits)
    assert time.monotonic() - began < 20  # the default limits are 60 s and more
    assert part.read_bytes() == CONTENT[: 3 * BLOCK]
    server.instead = []
    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT
    assert server.starts[-1] == 3 * BLOCK


def test_a_full_disk_is_said_in_one_line(serve, tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * BLOCK + 9, hard))
    try:
        message = refusal_of(serve().file(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert message.startswith(f"cannot write {tmp_path / 'weights.pth.part'}: ")
