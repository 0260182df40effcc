"""The web application: the page's files from memory, and a WebSocket."""

import asyncio
import contextlib
import json
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from dnnlib.errors import as_user_error, in_one_line
from editing.page.files import page_files
from editing.server.scheduler import Scheduler, Task
from editing.server.security import COOKIE, Guard, Lock
from editing.server.session import Session

if TYPE_CHECKING:
    from editing.server.engine import Engine

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
MOST_PAGES = 16  # connected at a time
FULL = f"{MOST_PAGES} pages of this editor are open already; close one of them."
FORM_LIMIT = 4096  # bytes
WRONG_PASSWORD_DELAY = 1.0  # seconds


class Editor:
    """What all pages share: the scheduler, and the model as soon as it is there.

    open_engine: makes the Engine; it is called in a thread of its own, so that the page answers before.
    """

    def __init__(self, open_engine: Callable[[], "Engine"], password: str | None = None):
        self._open_engine, self._lock = open_engine, None if password is None else Lock(password)
        self.scheduler = Scheduler()
        self.engine: Engine | None = None
        self.failure: str | None = None
        self.is_native = False  # whether it has the operators that it is going to keep
        self.sessions: set[Session] = set()
        self._files = page_files()
        self._loop: asyncio.AbstractEventLoop | None = None

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [
            Route("/login", self._login, methods=["GET", "POST"]),
            WebSocketRoute("/ws", self._socket),
            Route("/", self._file),
            Route("/{name}", self._file),
        ]
        return Starlette(routes=routes, middleware=[Middleware(Guard, lock=self._lock)], lifespan=self._lifespan)

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        self.scheduler.start()
        threading.Thread(target=self._load, name="loading", daemon=True).start()
        yield
        await asyncio.to_thread(self.scheduler.end)

    # ---- the model

    def _load(self) -> None:
        """In a thread: the model, first with PyTorch's operators, then with the native ones."""
        try:
            engine = self._open_engine()
        except Exception as error:
            self._in_loop(self._failed, in_one_line(as_user_error(error) or f"{type(error).__name__}: {error}"))
            return
        waits = engine.use_pytorch_operators()
        self._in_loop(self._loaded, engine, not waits)
        if waits and engine.wait_for_native():
            self.scheduler.submit(self, "switch", self._switching(engine), lambda error: None)

    def _switching(self, engine: "Engine") -> Task:
        """Between two pieces of work, so that no picture is made with both."""
        engine.use_native_operators()
        self._in_loop(self._switched)
        yield

    def _in_loop(self, call: Callable[..., None], *values: object) -> None:
        assert self._loop is not None, "the model is loaded when the loop runs"
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call, *values)

    def _loaded(self, engine: "Engine", is_native: bool) -> None:
        self.engine, self.is_native = engine, is_native
        for session in self.sessions:
            self._greet(session)

    def _failed(self, reason: str) -> None:
        self.failure = reason
        print(f"the model could not be opened: {reason}", file=sys.stderr, flush=True)  # not all look at the page
        for session in self.sessions:
            self._greet(session)

    def _switched(self) -> None:
        self.is_native = True
        for session in self.sessions:
            session.say("operators", native=True)

    def _greet(self, session: Session) -> None:
        session.engine = self.engine
        if self.failure is not None:
            session.say("failed", message=self.failure)
        elif self.engine is None:
            session.say("loading")
        else:
            session.say("hello", model=self.engine.about(), native=self.is_native)

    # ---- routes

    async def _socket(self, socket: WebSocket) -> None:
        await socket.accept()
        if len(self.sessions) >= MOST_PAGES:  # browsers tell a page nothing of a connection that is not accepted
            await socket.send_text(json.dumps({"type": "refused", "message": FULL}))
            await socket.close(1013)
            return
        session = Session(socket, self.scheduler)
        self.sessions.add(session)
        self._greet(session)
        try:
            await session.run()
        finally:
            self.sessions.discard(session)

    async def _file(self, request: Request) -> Response:
        """From memory; nothing else is ever served, whatever a request says."""
        name = request.path_params.get("name", "index.html")
        if name not in self._files:
            return PlainTextResponse("not found", 404)
        return Response(self._files[name], media_type=KINDS[name[name.rindex(".") :]])

    async def _login(self, request: Request) -> Response:
        if self._lock is None:
            return RedirectResponse("/", 303)
        if request.method == "GET":
            return HTMLResponse(LOGIN_PAGE.format(said=""))
        token = await asyncio.to_thread(self._lock.cookie, await _password_of(request))
        if token is None:
            await asyncio.sleep(WRONG_PASSWORD_DELAY)
            return HTMLResponse(LOGIN_PAGE.format(said="That is not the password."), 403)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
        return answer


LOGIN_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>SteerGAN editor</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/style.css">
<body class="login"><form method="post"><h1>SteerGAN editor</h1>
<label>Password <input type="password" name="password" autofocus autocomplete="current-password"></label>
<button class="primary">Open</button><p role="alert">{said}</p></form></body></html>"""


async def _password_of(request: Request) -> str:
    from urllib.parse import parse_qs

    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_LIMIT:
            return ""
    return parse_qs(body.decode("utf-8", "replace")).get("password", [""])[0]
