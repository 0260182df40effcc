"""Somebody who looks at the editor's page in Chromium."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.optional import is_installed

CHROMIUM = Path("/usr/bin/chromium")
MODEL = Path(__file__).parents[3] / "models" / "faces32.safetensors"
MARKS = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="apt-get install chromium"),
    pytest.mark.skipif(not is_installed("playwright"), reason="pip install playwright"),
]
WIDE, LIMIT = (1280, 860), 20  # CSS pixels; seconds that anything may take unless it is said

PAGE = "globalThis.steergan"
IS_SETTLED = f"Number(document.body.dataset.settled) === {PAGE}.picture.wantedId"
IS_AT_REST = f"{PAGE}?.store.before === null && {IS_SETTLED}"
PICTURE = """(() => {
  const canvas = document.querySelector("#picture");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return { side: canvas.width, data: Array.from(data) };
})()"""
HEATMAPS = """Array.from(document.querySelectorAll("#heatmaps canvas"), (canvas) => canvas.toDataURL())"""
ROUNDING = 1  # the server goes from PyTorch's operators to the native ones when these are ready


class Visitor:
    """A page with what is asked of it."""

    def __init__(self, page: Any):
        self.page = page

    def ask(self, what: str) -> Any:
        """A property of the page's object, such as "store.past.length"."""
        return self.page.evaluate(f"{PAGE}.{what}")

    def centers(self) -> list[list[list[float]]]:
        """[x, y] of every centre, level by level."""
        return self.ask("store.layout.levels.map((level) => level.centers)")

    def past(self) -> int:
        return self.ask("store.past.length")

    def picture(self) -> np.ndarray:
        """uint8 [R, R, 3], as it is on display."""
        shown = self.page.evaluate(PICTURE)
        return np.array(shown["data"], np.uint8).reshape(shown["side"], shown["side"], 4)[..., :3]

    def heatmaps(self) -> list[str]:
        return self.page.evaluate(HEATMAPS)

    def shows(self, picture: np.ndarray) -> bool:
        """Whether the newest picture has come, and is this one to within a level."""
        difference = self.picture().astype(int) - picture
        return self.page.evaluate(IS_SETTLED) and np.abs(difference).max() <= ROUNDING

    def shows_another(self, picture: np.ndarray) -> bool:
        """Whether the newest picture has come, and is not this one."""
        return self.page.evaluate(IS_SETTLED) and not self.shows(picture)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where in the window (x, y) of the shipped model's pictures is: -1 and 1 are the picture's borders."""
        self.page.locator("#stage").scroll_into_view_if_needed()
        box = self.page.locator("#stage").bounding_box()
        return box["x"] + box["width"] * (x + 1) / 2, box["y"] + box["height"] * (y + 1) / 2

    def press_handle(self) -> tuple[float, float]:
        """Press the middle of the level-0 handle; where that is."""
        box = self.page.locator("#stage g.handle circle").last.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        return x, y

    def pull(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press at one place of the picture and let go at another."""
        self.page.mouse.move(*self.place(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.place(*end), steps=6)
        self.page.mouse.up()

    def begin_a_long_pull(self) -> None:
        """A point across the picture, by styles alone, which takes many steps; the first has been shown."""
        self.page.click("#tab-pull")
        self.page.select_option("#pull-mode", "latent")
        self.pull((-0.5, -0.5), (0.9, 0.9))
        self.page.click("#pull-start")
        self.wait_for(lambda: self.ask("pull.running?.last") is not None)

    def save(self, kind: str) -> bytes:
        """The file of an entry of the menu."""
        self.page.click("#save-menu summary")
        with self.page.expect_download() as download:
            self.page.click(f"[data-save={kind}]")
        return Path(download.value.path()).read_bytes()

    def copied(self, kind: str) -> str:
        """The text of an entry of the menu."""
        self.page.evaluate("delete document.querySelector('#save-menu').dataset.copied")
        self.page.click("#save-menu summary")
        self.page.click(f"[data-save={kind}]")
        text = "document.querySelector('#save-menu').dataset.copied"
        self.wait_for(lambda: self.page.evaluate(text))
        return self.page.evaluate(text)

    def open(self, name: str, data: bytes) -> None:
        """Choose a file."""
        self.page.set_input_files("#open", {"name": name, "mimeType": "application/octet-stream", "buffer": data})

    def wait_for(self, condition: Callable[[], Any], seconds: float = LIMIT) -> None:
        """Until condition() holds. Raises AssertionError when it does not in time."""
        for _ in range(int(seconds * 10)):
            if condition():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError("the page did not come to what was waited for")

    def rest(self) -> None:
        """Until the newest picture is there, and nothing is being changed."""
        self.wait_for(lambda: self.page.evaluate(IS_AT_REST))


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def visiting(
    browser: Any,
    url: str,
    size: tuple[int, int] = WIDE,
    expects: Sequence[str] = (),
    hint: bool = False,
    **context: Any,
) -> Iterator[Visitor]:
    """A window of its own, `size` in CSS pixels, with the page and its first picture.

    hint: whether it is the first visit. expects: words of errors that the console may have; any other one fails.
    """
    complaints: list[str] = []
    window = browser.new_context(viewport={"width": size[0], "height": size[1]}, **context)
    if not hint:
        window.add_init_script("localStorage.setItem('steergan-hint-seen', '1')")
    page = window.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto(url)
    page.wait_for_selector("body[data-settled]", state="attached", timeout=LIMIT * 1000)
    visitor = Visitor(page)
    if not hint:
        visitor.rest()
    yield visitor
    window.close()
    assert [text for text in complaints if not any(words in text for words in expects)] == []


def png(pixels: np.ndarray) -> bytes:
    """A file of uint8 [H, W, 3]."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
