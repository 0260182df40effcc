"""Networks on the web, from a server on this machine: listed, resumed, checked, kept."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

import convert
import generate
from dnnlib.downloads import RemoteFile
from dnnlib.errors import UserError
from interop.hub_files import ENDPOINT, MOST_PAGES, token
from interop.remote import HubAddress, fetch_network, parse_hub, web_file
from tests.golden.cases import FOLDER
from training.runs.snapshot import find_snapshot, open_snapshot
from training.runs.sources import address_in, needs_reader

PICKLE = (FOLDER / "tiny_reference_nosrc.pkl").read_bytes()


class Hub(ThreadingHTTPServer):
    """A stand-in for the hub, and for any server: `files`: {path: bytes}; `breaks`: where the next answers end.

    page: files on a page of the list; next_host: whom its link to the next page names; wants: the token without which
    nothing is shown; closed: whether files are given to nobody; asked: the lists' queries, and all tokens that came.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.breaks, self.starts = files, [], []
        self.digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        self.listing: bytes | None = None
        self.page, self.next_host, self.wants, self.closed, self.hidden = 1000, self.address, "", False, 401
        self.asked, self.tokens = [], set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def listed(self, start: int) -> bytes:
        names = list(self.files)[start : start + self.page]
        entry = lambda name: {"type": "file", "path": name, "size": len(self.files[name]), "lfs": {"oid": self.digests[name]}}  # noqa: E501, E731
        return json.dumps([entry(name) for name in names]).encode()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, parts = self.server, urlsplit(self.path)
        server.tokens.add(self.headers.get("Authorization"))
        if server.wants and self.headers.get("Authorization") != f"Bearer {server.wants}":
            return self.send_error(server.hidden)
        if parts.path == "/api/models/owner/name/tree/main":
            return self._list(parts.query)
        if server.closed:
            return self.send_error(403)
        path = parts.path
        content = self.server.files.get(path.rpartition("/main/")[2].lstrip("/"))
        if content is None:
            return self.send_error(404)
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.server.starts.append(start)
        end = start + self.server.breaks.pop(0) if self.server.breaks else None
        return self._send(content[start:], start, len(content), end)

    def _list(self, query: str) -> None:
        server, start = self.server, int(parse_qs(query).get("cursor", ["0"])[0])
        server.asked.append(query)
        link = ""
        if start + server.page < len(server.files):
            path = f"/api/models/owner/name/tree/main?recursive=true&cursor={start + server.page}"
            link = f'<{server.next_host}{path}>; rel="next"'
        self._send(server.listing or server.listed(start), link=link)

    def _send(self, content: bytes, start: int = 0, whole: int = 0, end: int | None = None, link: str = "") -> None:
        self.send_response(206 if start else 200)
        if link:
            self.send_header("Link", link)
        self.send_header("Content-Length", str(len(content)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        self.end_headers()
        self.wfile.write(content if end is None else content[: end - start])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch):
    servers = []

    def start(**files: bytes) -> Hub:
        servers.append(Hub({name.replace("__", "."): content for name, content in files.items()}))
        threading.Thread(target=servers[-1].serve_forever, args=[0.02], daemon=True).start()
        monkeypatch.setenv(ENDPOINT, servers[-1].address)
        return servers[-1]

    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", "/nowhere/token")
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_pickle_on_the_hub_is_fetched_once_and_converted(hub):
    server = hub(net__pkl=PICKLE, README__md=b"hello")
    snapshot = open_snapshot("hf://owner/name")
    assert snapshot.config.method == "stylegan2"
    assert open_snapshot(Path("hf://owner/name")).path == snapshot.path  # a Path loses a slash
    assert server.starts == [0]


@pytest.mark.parametrize("address", ["hf://owner/name", "hf://owner/name/net.pkl"])
def test_without_a_network_the_file_in_the_cache_serves_and_that_is_said(hub, capsys, address: str):
    server = hub(net__pkl=PICKLE)
    path = fetch_network(address)
    assert capsys.readouterr().err == ""
    server.shutdown()
    server.server_close()
    assert fetch_network(address) == path
    said = capsys.readouterr().err
    assert said.startswith("hf://owner/name: the hub cannot be asked (")
    assert said.endswith("; taken from the cache: net.pkl\n")
    assert len(said.splitlines()) == 1
    with pytest.raises(UserError, match="the hub cannot be asked"):
        fetch_network("hf://owner/other")
    path.write_bytes(PICKLE[:-1] + b"x")
    with pytest.raises(UserError, match="the hub cannot be asked"):
        fetch_network(address)


def test_a_repository_that_is_gone_is_not_taken_from_the_cache(hub):
    server = hub(net__pkl=PICKLE)
    fetch_network("hf://owner/name")
    server.wants = "hf_of_others"
    with pytest.raises(UserError, match="no such repository on the hub, or a private one"):
        fetch_network("hf://owner/name")


def test_a_download_goes_on_where_it_broke_off(hub):
    server = hub(net__pkl=PICKLE)
    server.breaks = [100_000]
    assert fetch_network("hf://owner/name/net.pkl").read_bytes() == PICKLE
    assert server.starts == [0, 65536]


def test_a_file_that_is_not_what_the_hub_says_is_refused(hub):
    server = hub(net__pkl=PICKLE)
    server.digests["net.pkl"] = "0" * 64
    with pytest.raises(UserError, match="its SHA-256 is another"):
        find_snapshot("hf://owner/name")


def test_which_file_of_a_repository(hub):
    hub(a__pkl=PICKLE, b__pkl=PICKLE)
    with pytest.raises(UserError, match=r"several networks .* give hf://owner/name/FILE, with one of a\.pkl, b\.pkl"):
        fetch_network("hf://owner/name")
    with pytest.raises(UserError, match=r"there is no c\.pkl; there are a\.pkl, b\.pkl"):
        fetch_network("hf://owner/name/c.pkl")
    hub(README__md=b"x")
    with pytest.raises(UserError, match="no network there"):
        fetch_network("hf://owner/name")


def test_the_newest_of_some_snapshots(hub):
    contents = {f"network-snapshot-{kimg:06d}__safetensors": bytes([kimg]) for kimg in (1, 3, 2)}
    hub(**contents)
    assert fetch_network("hf://owner/name").name == "network-snapshot-000003.safetensors"


def test_no_such_repository_and_answers_that_are_none(hub):
    server = hub(net__pkl=PICKLE)
    with pytest.raises(UserError, match="hf://owner/other: no such repository on the hub, or a private one: log in"):
        fetch_network("hf://owner/other")
    for answer in (b"{}", b"[1]", b"<html>", b'[{"path": 3}]'):
        server.listing = answer
        with pytest.raises(UserError, match=r"^hf://owner/name:"):
            fetch_network("hf://owner/name")


@pytest.mark.parametrize("next_host", [None, "https://elsewhere.example", ""], ids=["own", "other", "relative"])
def test_a_list_of_several_pages(hub, next_host: str | None):
    """A mirror may name the hub itself in its links; the mirror is asked."""
    contents = {f"network-snapshot-{kimg:06d}__safetensors": bytes([kimg]) for kimg in range(7)}
    server = hub(**contents)
    server.page, server.next_host = 2, server.address if next_host is None else next_host
    assert fetch_network("hf://owner/name").name == "network-snapshot-000006.safetensors"
    assert server.asked == ["recursive=true", *(f"recursive=true&cursor={start}" for start in (2, 4, 6))]


def test_a_link_to_the_next_page_that_is_no_address(hub):
    server = hub(net__pkl=PICKLE, net2__pkl=PICKLE)
    server.page, server.next_host = 1, "https://[no-address"
    with pytest.raises(UserError, match=r"^hf://owner/name: the hub's link to its next page is not understood$"):
        fetch_network("hf://owner/name")


def test_a_list_without_end_is_given_up(hub):
    server = hub(net__pkl=PICKLE)
    server.page = 0  # so that there is always another page
    with pytest.raises(UserError, match=f"the hub's list has more than {MOST_PAGES} pages"):
        fetch_network("hf://owner/name")
    assert len(server.asked) == MOST_PAGES


def test_a_private_repository_is_read_with_the_users_token(hub, monkeypatch, tmp_path):
    server = hub(net__pkl=PICKLE)
    server.wants = "hf_mine"
    with pytest.raises(UserError, match=r"or a private one: log in by `hf auth login`, or set HF_TOKEN$"):
        fetch_network("hf://owner/name")
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    with pytest.raises(UserError, match=r"no such repository, or the hub does not take the token that is set; log in"):
        fetch_network("hf://owner/name")
    monkeypatch.setenv("HF_TOKEN", "hf_mine\n")
    assert fetch_network("hf://owner/name").read_bytes() == PICKLE
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "token").write_text("hf_mine")  # as `hf auth login` leaves it
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    assert fetch_network("hf://owner/name/net.pkl").read_bytes() == PICKLE
    assert server.tokens == {None, "Bearer hf_other", "Bearer hf_mine"}


def test_a_repository_that_gives_access_on_request(hub):
    """Its list is public, its files are not."""
    server = hub(net__pkl=PICKLE)
    server.closed = True
    with pytest.raises(UserError) as caught:
        fetch_network("hf://owner/name")
    assert str(caught.value) == (
        "cannot download net.pkl: the server refuses it (status 403); a private repository, or one that gives access "
        f"on request: ask for it at {server.address}/owner/name, then log in by `hf auth login`, or set HF_TOKEN"
    )
    server.wants, server.hidden = "hf_mine", 403
    with pytest.raises(UserError, match="hf://owner/name: a private repository, or one that gives access on request"):
        fetch_network("hf://owner/name")


def test_a_token_goes_to_nobody_else(hub, monkeypatch):
    server = hub(net__pkl=PICKLE)
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    fetch_network(f"{server.address}/net.pkl")  # not as the hub
    assert server.tokens == {None}
    monkeypatch.setenv(ENDPOINT, "http://hub.example")  # where everybody can read it on its way
    assert token() == ""
    monkeypatch.setenv(ENDPOINT, "https://hub.example")
    assert token() == "hf_mine"
    assert "hf_mine" not in repr(RemoteFile("a", "https://hub.example/a", "", 0, token=token()))
    monkeypatch.setenv("HF_TOKEN", "hf mine")
    with pytest.raises(UserError, match="the hub's token has characters that no token has") as caught:
        token()
    assert "hf mine" not in str(caught.value)


FAULTS = {
    "hf://owner/missing": "no such repository on the hub",
    "hf://owner/name": "several networks there; give hf://owner/name/FILE, with one of a.pkl, b.pkl",
    "hf://owner/name/c.pkl": "there is no c.pkl; there are a.pkl, b.pkl",
    "hf://owner": "an address on the hub is hf://owner/name",
}


@pytest.mark.parametrize("address", FAULTS)
@pytest.mark.parametrize("command", ["info", "generate"])
def test_commands_say_it_in_one_line(hub, command: str, address: str, tmp_path: Path):
    hub(a__pkl=PICKLE, b__pkl=PICKLE)
    out = tmp_path / "out"
    words = {"info": ["info", address], "generate": [f"--network={address}", "--seeds=0", f"--outdir={out}"]}
    result = CliRunner().invoke({"info": convert.main, "generate": generate.main}[command], words[command])
    assert result.exit_code == 2
    assert FAULTS[address] in result.output
    assert len(result.output.splitlines()) == 1, result.output
    assert not out.exists()


def test_info_of_an_address_in_words(hub):
    hub(net__pkl=PICKLE)
    result = CliRunner().invoke(convert.main, ["info", "hf://owner/name"])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0] == "hf://owner/name: fetched, and kept in the cache"
    assert "method stylegan2" in result.output


def test_a_file_of_an_absurd_size_is_not_fetched(hub):
    server = hub(net__pkl=PICKLE)
    server.listing = json.dumps([{"type": "file", "path": "net.pkl", "size": 10**15}]).encode()
    with pytest.raises(UserError, match=r"net\.pkl has 1,000,000 GB"):
        fetch_network("hf://owner/name")
    assert server.starts == []


def test_an_address_on_the_web(hub):
    server = hub(net__pkl=PICKLE)
    digest = hashlib.sha256(PICKLE).hexdigest()
    path = fetch_network(f"{server.address}/net.pkl")
    assert path.read_bytes() == PICKLE
    assert fetch_network(f"{server.address}/net.pkl#sha256={digest}") == path
    with pytest.raises(UserError, match="its SHA-256 is another"):
        fetch_network(f"{server.address}/net.pkl#sha256={'1' * 64}")


def test_a_file_without_a_published_digest_is_held_against_its_own(hub):
    server = hub(net__pkl=PICKLE)
    path = fetch_network(f"{server.address}/net.pkl")
    path.write_bytes(PICKLE[:-1] + b"x")
    with pytest.raises(UserError, match="changed since it was downloaded"):
        fetch_network(f"{server.address}/net.pkl")


def test_a_page_in_the_place_of_a_network_is_refused_and_not_kept(hub):
    server = hub(net__pkl=b"<!doctype html><title>Please log in</title>")
    for _ in range(2):
        with pytest.raises(UserError, match="what came is no network; "):
            fetch_network(f"{server.address}/net.pkl")
    assert len(server.starts) == 2
    server.files["net.pkl"] = PICKLE
    assert fetch_network(f"{server.address}/net.pkl").read_bytes() == PICKLE


def test_a_file_that_is_not_there_is_one_line(hub):
    server = hub(net__pkl=PICKLE)
    with pytest.raises(UserError, match=r"cannot download a\.pkl: 404"):
        fetch_network(f"{server.address}/a.pkl")


@pytest.mark.parametrize("address, message", [
    ("http://example.org/a.pkl", "use https://"),
    ("https://example.org/", "has to end with the name of a file"),
    ("https://example.org/.pkl", "has to end with the name of a file"),
    ("https://example.org/a.pkl#md5=1", "sha256= and 64 hexadecimal digits"),
    ("https://example.org/%2e%2e%2fa%0a.pkl", "has to end with the name of a file"),
    ("https://[::1/a.pkl", "there is no such host"),
    ("https://example.org:99999999/a.pkl", "there is no such host"),
    ("https://example.org:x/a.pkl", "there is no such host"),
    ("https://user@:443/a.pkl", "there is no such host"),
])  # fmt: skip
def test_addresses_that_are_refused(address: str, message: str):
    with pytest.raises(UserError, match=message):
        web_file(address)


@pytest.mark.parametrize("address", ["hf://owner", "hf://a/b/../c", "hf://a b/c", "hf://a/b/c d", "hf://"])
def test_hub_addresses_that_are_none(address: str):
    with pytest.raises(UserError, match="an address on the hub is"):
        parse_hub(address)


def test_what_is_an_address():
    assert parse_hub("hf://a/b/c/d.pkl") == HubAddress("a/b", "c/d.pkl")
    assert address_in("https:/example.org/a") == "https://example.org/a"
    assert address_in("runs/https:/a") is None
    assert not needs_reader("nothing.pkl")
