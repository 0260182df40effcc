"""Opening a port, printing where, and serving until Ctrl-C."""

import asyncio
import errno
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import uvicorn

from dnnlib.errors import UserError
from editing.server.app import Editor
from editing.server.protocol import TEXT_LIMIT, UPLOAD_LIMIT
from editing.server.security import LOOPBACK

if TYPE_CHECKING:
    from editing.server.engine import Engine

DEFAULT_PORT = 8420  # where it is free, so that a page finds a server that was started again
QUEUE = 64  # messages that a page may send before the server has read them


def open_port(host: str, port: int | None) -> socket.socket:
    """A listening socket. Without `port`: the default one, or any free one where that is taken.

    Raises UserError when the port is taken or the host is none of this machine's.
    """
    wanted = [DEFAULT_PORT, 0] if port is None else [port]
    for each in wanted:
        try:
            return _listening(host, each)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and each != wanted[-1]:
                continue
            reason = error.strerror or str(error)
            raise UserError(f"cannot listen at {host}:{each}: {reason}; choose another --port or --host") from error
    raise AssertionError


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(128)
    except OSError:
        opened.close()
        raise
    return opened


def address(opened: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = opened.getsockname()[:2]
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"


def serve(
    open_engine: Callable[[], "Engine"],
    host: str = "127.0.0.1",
    port: int | None = None,
    password: str | None = None,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve until interrupted. Raises UserError when the address cannot be had, or needs a password and has none."""
    if password is None and host not in LOOPBACK:
        raise UserError(f"--host {host}: others can reach this address; give a --password, too")
    opened = open_port(host, port)
    url = address(opened)
    taken = port is None and opened.getsockname()[1] != DEFAULT_PORT
    say(f"the editor is at {url} (Ctrl-C ends it{f'; port {DEFAULT_PORT} is taken' if taken else ''})")
    if browser and has_display():
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
    elif browser:
        say("there is no display to open a browser on; from another machine, ssh -L leads to this address")
    with suppress(KeyboardInterrupt):  # the server has ended in order, and says so once more
        asyncio.run(make_server(Editor(open_engine, password)).serve(sockets=[opened]))
    say("the editor has ended")


def has_display() -> bool:
    """Whether a browser has a window to be in; without one, some take the terminal."""
    wants = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in wants)


def make_server(editor: Editor) -> uvicorn.Server:
    """Messages are limited in size and in number; errors are written to standard error, requests are not."""
    config = uvicorn.Config(
        editor.app(),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=max(TEXT_LIMIT, UPLOAD_LIMIT) + 1024,
        ws_max_queue=QUEUE,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
        limit_concurrency=200,
    )
    return uvicorn.Server(config)
