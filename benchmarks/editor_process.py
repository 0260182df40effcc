"""The editor's server in a process of its own, and a page of it in Chromium, for benchmarks.

    python -m benchmarks.editor_process        # whether there is a browser: exit status 0, or 1 and what is missing
"""

import http.client
import importlib.util
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnnlib.errors import UserError

ROOT = Path(__file__).resolve().parents[1]

BROWSERS = tuple(Path("/usr/bin") / name for name in ("chromium", "chromium-browser", "google-chrome"))
PATIENCE = 300  # seconds; building the native operators takes a minute or two
WINDOW = {"width": 1280, "height": 860}


@dataclass(frozen=True)
class Served:
    """A running `edit.py serve`. seconds: until it said where, and until it answered there."""

    url: str
    pid: int
    said: float
    answered: float


@contextmanager
def served(network: str) -> Iterator[Served]:
    """The command, until the block ends. Raises UserError with what it said when it ends before."""
    words = [sys.executable, "edit.py", "serve", f"--network={network}", "--no-browser"]
    start = time.perf_counter()
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None  # it is a pipe
    try:
        line = process.stdout.readline()
        said = time.perf_counter() - start
        found = re.search(r"http://\S+/", line)
        if found is None:
            raise UserError(f"edit.py serve: {line.strip()}")
        _ask(found[0])
        yield Served(found[0], process.pid, said, time.perf_counter() - start)
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def _ask(url: str) -> None:
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=30)
    connection.request("GET", "/")
    connection.getresponse().read()
    connection.close()


def lacking() -> str | None:
    """What a browser needs and is not here, and how to get it; None where all is."""
    if importlib.util.find_spec("playwright") is None:
        return "this needs the package playwright; pip install playwright"
    if not any(map(Path.exists, BROWSERS)):
        return f"this needs a browser at one of {', '.join(map(str, BROWSERS))}; apt-get install chromium"
    return None


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium without a window. Raises UserError where Playwright or a browser is missing."""
    if (missing := lacking()) is not None:
        raise UserError(missing)
    from playwright.sync_api import sync_playwright

    path = next(filter(Path.exists, BROWSERS))
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(path), args=["--no-sandbox"])
        yield started
        started.close()


@contextmanager
def opened(started: Any, url: str) -> Iterator[Any]:
    """A page of the editor, its first picture made by the operators that it will go on with."""
    context = started.new_context(viewport=WINDOW, bypass_csp=True)  # for what waits in it
    context.add_init_script("localStorage.setItem('steergan-hint-seen', '1')")
    page = context.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(url)
    page.wait_for_selector("body[data-settled]", state="attached")
    page.wait_for_function("globalThis.steergan.isNative && !globalThis.steergan.picture.age")
    yield page
    context.close()


if __name__ == "__main__" and (reason := lacking()) is not None:
    sys.exit(f"left out: {reason}")
