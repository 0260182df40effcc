"""Who is let in: our own page at a loopback name, or with the password; nobody else, and to no file."""

import http.client

import pytest
from websockets.exceptions import InvalidStatus

from editing.document import Direction, Document, to_json
from tests.editing.server.running import Running, open_page, running_server
from tests.tiny_models import save_tiny_snapshot


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    return save_tiny_snapshot(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def server(snapshot) -> Running:
    with running_server(snapshot) as running:
        yield running


@pytest.fixture(scope="module")
def locked(snapshot) -> Running:
    with running_server(snapshot, password="open sesame") as running:
        yield running


def ask(server: Running, path: str = "/", method: str = "GET", body: str | None = None, **headers: str):
    """(status, headers, body) of a request whose path is sent as it stands."""
    connection = http.client.HTTPConnection(server.host, timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": server.host, **headers}.items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
        connection.putheader("Content-Type", "application/x-www-form-urlencoded")
    connection.endheaders(None if body is None else body.encode())
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


UPGRADE = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip


def test_the_page_and_its_headers(server: Running):
    status, headers, body = ask(server)
    assert status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert body.startswith(b"<!doctype html>")


@pytest.mark.parametrize("host", [
    "evil.example", "evil.example:8420", "127.0.0.1.evil.example", "192.168.0.7", "", "a[b",
])  # fmt: skip
def test_other_hosts_are_refused(server: Running, host: str):
    """What a name that was made to point to 127.0.0.1 looks like."""
    assert ask(server, Host=host)[0] in (400, 403)
    assert ask(server, "/ws", **UPGRADE, Host=host, Origin=f"http://{host}")[0] in (400, 403)


def test_two_hosts_are_none(server: Running):
    with pytest.raises(InvalidStatus, match="HTTP 400"), open_page(server, Host="localhost"):
        pass


@pytest.mark.parametrize("host", ["localhost", "localhost:9999", "127.0.0.1:1"])
def test_loopback_names_with_mapped_ports_are_let_in(server: Running, host: str):
    assert ask(server, Host=host)[0] == 200


@pytest.mark.parametrize("origin", [
    "http://evil.example", "http://localhost:3000", "null", "file://", "https://127.0.0.1", "http://127.0.0.1:1/",
    None, "[",
])  # fmt: skip
def test_pages_of_other_origins_are_refused(server: Running, origin: str | None):
    with pytest.raises(InvalidStatus, match="HTTP 403"), open_page(server, origin=origin):
        pass
    if origin is not None:
        assert ask(server, Origin=origin)[0] == 403
        assert ask(server, "/login", "POST", "password=x", Origin=origin)[0] == 403


@pytest.mark.parametrize("path", [
    "/../edit.py", "/%2e%2e/edit.py", "/..%2fedit.py", "/static/../../edit.py", "//etc/passwd", "/etc/passwd",
    "/__init__.py", "/%00", "/index.html%00.png", "/main.js/..", "/..\\edit.py", "/?file=/etc/passwd&name=/etc/passwd",
])  # fmt: skip
def test_no_path_reaches_the_file_system(server: Running, path: str):
    status, _, body = ask(server, path)
    assert status == 404 or (status == 200 and body == ask(server)[2] and path.startswith("/?"))


def test_documents_open_no_files(server: Running):
    with open_page(server) as page:
        for document in (Document(directions=(Direction("/etc/passwd"),)), Document(directions=(Direction("x.npz"),))):
            page.render(document)
            assert "this editor was given no directions" in page.wait_for("error")[0]["message"]
        page.render(Document(network="/etc/passwd"), id=5)
        assert page.wait_for("picture")[0]["id"] == 5
        page.send("render", document={**to_json(Document()), "layout": "/etc/passwd"})
        assert "an object is needed" in page.wait_for("error")[0]["message"]


def test_without_the_password_there_is_only_the_form(locked: Running):
    status, headers, _ = ask(locked)
    assert (status, headers["location"]) == (303, "/login")
    assert ask(locked, "/main.js")[0] == 303
    assert b"Password" in ask(locked, "/login")[2]
    with pytest.raises(InvalidStatus, match="HTTP 403"), open_page(locked):
        pass
    with pytest.raises(InvalidStatus, match="HTTP 403"), open_page(locked, Cookie="steergan=guess"):
        pass


def log_in(server: Running, password: str, host: str | None = None):
    host = host or server.host
    return ask(server, "/login", "POST", f"password={password}", Host=host, Origin=f"http://{host}")


def test_a_wrong_password_is_refused(locked: Running, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("editing.server.app.WRONG_PASSWORD_DELAY", 0)
    for wrong in ("", "open", "open+sesame%00", "x" * 10_000):
        status, headers, body = log_in(locked, wrong)
        assert status == 403
        assert b"not the password" in body
        assert "set-cookie" not in headers


def test_the_password_opens(locked: Running):
    status, headers, _ = log_in(locked, "open+sesame")
    assert (status, headers["location"]) == (303, "/")
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=strict" in headers["set-cookie"]
    cookie = headers["set-cookie"].split(";")[0]
    assert ask(locked, Cookie=cookie)[0] == 200
    with open_page(locked, Cookie=cookie) as page:
        page.render()
        assert page.wait_for("picture")[0]["slot"] == "main"
    with pytest.raises(InvalidStatus, match="HTTP 403"), open_page(locked, origin="http://evil.example", Cookie=cookie):
        pass


def test_with_a_password_other_names_are_served(locked: Running):
    assert log_in(locked, "open+sesame", host="machine.example:8420")[0] == 303
