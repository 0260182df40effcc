"""One page's connection: its requests to the scheduler, and the answers back, the newest of each kind."""

import asyncio
import json
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from dnnlib.errors import UserError, as_user_error, in_one_line
from editing.server.protocol import (
    UPLOAD_LIMIT,
    DragRequest,
    FilmRequest,
    InvertRequest,
    Render,
    Request,
    Stop,
    parse,
    read_frame,
)
from editing.server.scheduler import Scheduler, Task

if TYPE_CHECKING:
    from editing.server.engine import Engine

T = TypeVar("T")

LONG_TEXT = 1 << 16  # characters
LONG = "long"  # the slot of what takes long: one such task a page


class Outbox:
    """What is to be sent, at most one message a key: a slow page gets the newest, and nothing piles up here.

    `put` may be called in any thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop, self._filled = loop, asyncio.Event()
        self._messages: OrderedDict[str, bytes | str] = OrderedDict()

    def put(self, key: str, message: bytes | str) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._put, key, message)

    def _put(self, key: str, message: bytes | str) -> None:
        self._messages[key] = message
        self._filled.set()

    async def get(self) -> bytes | str:
        """The message that has been waiting longest."""
        while not self._messages:
            self._filled.clear()
            await self._filled.wait()
        return self._messages.popitem(last=False)[1]


class Session:
    """A page. `engine` is None until the model is loaded."""

    def __init__(self, socket: WebSocket, scheduler: Scheduler, engine: "Engine | None" = None):
        self.socket, self.scheduler, self.engine = socket, scheduler, engine
        self.outbox = Outbox(asyncio.get_running_loop())
        self._upload: bytes | None = None

    async def run(self) -> None:
        """Until the page is gone."""
        sender = asyncio.create_task(self._send_all())
        try:
            while True:
                message = await self.socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                await self.receive(message)
        except WebSocketDisconnect:
            return
        finally:
            sender.cancel()
            self.scheduler.cancel(self)

    async def receive(self, message: Message) -> None:
        """A message of the page; what is wrong with it is said in the answer."""
        text = message.get("text")
        try:
            if text is not None:
                self.handle(await _aside(parse, text))
            elif message.get("bytes") is not None:
                self._keep(message["bytes"])
        except Exception as error:  # whatever a page sends, the others go on
            self.complain(error, await _aside(_number, text or "null"))

    def handle(self, request: Request) -> None:
        """Raises UserError when there is no model yet, or too much to do."""
        engine = self.engine
        if engine is None:
            raise UserError("the model is still being loaded")
        if isinstance(request, Stop):
            self.scheduler.cancel(self, LONG)
            self.say("stopped", id=request.id)
            return
        slot = request.slot if isinstance(request, Render) else LONG
        task = self._task(engine, request)
        self.scheduler.submit(self, slot, task, lambda error: self.complain(error, request.id, slot))

    def say(self, kind: str, **fields: Any) -> None:
        self.outbox.put(kind, json.dumps({"type": kind, **fields}))

    def complain(self, error: Exception, number: int | None = None, slot: str | None = None) -> None:
        said = as_user_error(error)
        text = str(said) if said is not None else f"this went wrong ({type(error).__name__}: {error})"
        fields = {"type": "error", "id": number, "slot": slot, "message": in_one_line(text)}
        self.outbox.put(f"error {slot}", json.dumps(fields))

    def _task(self, engine: "Engine", request: Render | DragRequest | InvertRequest | FilmRequest) -> Task:
        send = self._send_frame
        if isinstance(request, Render):
            return engine.rendering(request, send)
        if isinstance(request, DragRequest):
            return engine.dragging(request, send)
        if isinstance(request, InvertRequest):
            if self._upload is None:
                raise UserError("there is no picture yet; choose one first")
            return engine.inverting(request, self._upload, send)
        return _in_a_folder(engine, request, send)

    def _send_frame(self, data: bytes) -> None:
        """May be called in the scheduler's thread."""
        header, _ = read_frame(data)
        self.outbox.put(f"{header['type']} {header.get('slot')}", data)

    def _keep(self, data: bytes) -> None:
        if len(data) > UPLOAD_LIMIT:
            raise UserError(f"a file of {len(data) >> 20} MiB is too large; {UPLOAD_LIMIT >> 20} MiB are the most")
        self._upload = data

    async def _send_all(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):
            while True:
                message = await self.outbox.get()
                if isinstance(message, str):
                    await self.socket.send_text(message)
                else:
                    await self.socket.send_bytes(message)


def _in_a_folder(engine: "Engine", request: FilmRequest, send: Callable[[bytes], None]) -> Task:
    with tempfile.TemporaryDirectory(prefix="steergan-film-") as folder:
        yield from engine.filming(request, Path(folder), send)


async def _aside(read: Callable[[str], T], text: str) -> T:
    """`read(text)`; of a long text, which takes seconds, in a thread, so that other pages are answered meanwhile."""
    return read(text) if len(text) <= LONG_TEXT else await asyncio.to_thread(read, text)


def _number(text: str) -> int | None:
    """The id of a request that could not be read otherwise."""
    try:
        number = json.loads(text).get("id")
    except (ValueError, AttributeError, RecursionError):
        return None
    return number if isinstance(number, int) and abs(number) < 2**53 else None
