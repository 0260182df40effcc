"""A server of the editor in a thread, and a page's side of its WebSocket."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from editing.document import Document, to_json
from editing.server.app import Editor
from editing.server.engine import Engine
from editing.server.launch import address, make_server, open_port
from editing.server.protocol import read_frame

PATIENCE = 60  # seconds; no answer takes as long


@dataclass(frozen=True)
class Running:
    """A server that runs. `url` ends in a slash."""

    url: str
    editor: Editor

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://").rstrip("/")


@contextmanager
def running_server(
    open_engine: Callable[[], Engine] | Path, password: str | None = None, port: int = 0
) -> Iterator[Running]:
    """Serve a snapshot at a free port while the block runs."""
    if isinstance(open_engine, Path):
        path = open_engine
        open_engine = lambda: Engine(str(path), "cpu")  # noqa: E731
    editor, opened = Editor(open_engine, password), open_port("127.0.0.1", port)
    server = make_server(editor)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[opened])), daemon=True)
    thread.start()
    try:
        yield Running(address(opened), editor)
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        opened.close()


class Page:
    """What a page does over its WebSocket."""

    def __init__(self, socket: ClientConnection):
        self.socket = socket

    def send(self, kind: str, id: int = 1, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind, "id": id, **fields}))

    def render(self, document: Document = Document(), id: int = 1, **fields: Any) -> None:  # noqa: B008
        self.send("render", id, document=to_json(document), **fields)

    def next(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The next message: its header, and its parts where it is a frame."""
        data = self.socket.recv(timeout=PATIENCE)
        return (json.loads(data), {}) if isinstance(data, str) else read_frame(data)

    def wait_for(self, kind: str, **fields: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
        """The next message of a kind in which these fields have these values."""
        while True:
            header, parts = self.next()
            if header["type"] == kind and fields.items() <= header.items():
                return header, parts


@contextmanager
def open_page(server: Running, wait: bool = True, **headers: str) -> Iterator[Page]:
    """A connection as a page of the server's own has it; `wait`: until the model is there."""
    given = {"origin": server.url.rstrip("/"), **headers}
    how = {"origin": given.pop("origin"), "additional_headers": given, "max_size": None}
    with connect(f"ws://{server.host}/ws", **how) as socket:
        page = Page(socket)
        if wait:
            page.wait_for("hello")
        yield page
