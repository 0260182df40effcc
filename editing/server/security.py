"""Who may speak to the server: this machine's own pages, and with a password others.

A page of another origin can open WebSockets to 127.0.0.1 and send forms there; the browser says where it comes from
(Origin), which has to be our own address. A name of somebody else's that was made to point to 127.0.0.1 (DNS
rebinding) is seen in Host, which has to be a loopback name, unless a password, kept in a cookie of ours, says more.
"""

import hashlib
import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "steergan"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
OPEN_PATHS = ("/login", "/style.css")  # that are seen before one has logged in
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; connect-src 'self' data: blob:; worker-src 'self' blob:; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware: refuses what does not come from our own page, and adds the headers of every answer."""

    def __init__(self, app: ASGIApp, lock: "Lock | None" = None):
        self.app, self.lock = app, lock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if refusal is None:
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        elif refusal == LOGIN:
            await RedirectResponse("/login", 303)(scope, receive, _with_headers(send))
        else:
            await PlainTextResponse(refusal, 403)(scope, receive, _with_headers(send))

    def refusal(self, scope: Scope) -> str | None:
        """Why a request is refused; None where it is not."""
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or len(origins) > 1:
            return "one Host is needed, and at most one Origin"
        if self.lock is None and host_name(hosts[0]) not in LOOPBACK:
            return "this server answers to 127.0.0.1 and localhost only; start it with --password for other names"
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if (changes or origins) and (not origins or not is_same_origin(origins[0], hosts[0])):
            return "this request comes from another page"
        if self.lock is not None and scope["path"] not in OPEN_PATHS and not self.lock.is_open(headers):
            return LOGIN
        return None


LOGIN = "log in first"


class Lock:
    """A password, and the cookie that whoever knew it got."""

    def __init__(self, password: str):
        self._salt, self._token = secrets.token_bytes(16), secrets.token_urlsafe(32)
        self._digest = self._hashed(password)

    def _hashed(self, password: str) -> bytes:
        return hashlib.sha256(self._salt + password.encode("utf-8", "replace")).digest()

    def cookie(self, password: str) -> str | None:
        """What to set where the password is right, else None."""
        if len(password) > 1000 or not hmac.compare_digest(self._hashed(password), self._digest):
            return None
        return self._token

    def is_open(self, headers: Headers) -> bool:
        """Whether a request has the cookie."""
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        given = cookies[COOKIE].value if COOKIE in cookies else ""
        return hmac.compare_digest(given.encode(), self._token.encode())


def host_name(host: str) -> str:
    """The name in a Host header, without its port; ports differ where a container or a tunnel maps them."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_same_origin(origin: str, host: str) -> bool:
    """Whether an Origin header names the address in the Host header."""
    try:
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower() and not parts.path
    except ValueError:
        return False


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return send_with_headers
