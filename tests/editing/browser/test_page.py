"""The page in a real Chromium, on the shipped model: what is dragged moves, comes back, and is one undo entry."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.editing.server.running import running_server

sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = Path("/usr/bin/chromium")
MODEL = Path(__file__).parents[3] / "models" / "faces32.safetensors"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="apt-get install chromium"),
]

LAYOUT = "globalThis.steergan.store.layout.levels.map((level) => level.centers)"
PAST = "globalThis.steergan.store.past.length"
PICTURE = """(() => {
  const canvas = document.querySelector("#picture");
  return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data);
})()"""
IS_SETTLED = "Number(document.body.dataset.settled) === globalThis.steergan.picture.wantedId"
ROUNDING = 1  # the server goes from PyTorch's operators to the native ones when these are ready
HEATMAPS = """Array.from(document.querySelectorAll("#heatmaps canvas"), (canvas) => canvas.toDataURL())"""


class Visitor:
    """A page with what is asked of it."""

    def __init__(self, page: Any):
        self.page = page

    def layout(self) -> list[list[list[float]]]:
        return self.page.evaluate(LAYOUT)

    def past(self) -> int:
        return self.page.evaluate(PAST)

    def picture(self) -> list[int]:
        return self.page.evaluate(PICTURE)

    def shows(self, picture: list[int]) -> bool:
        """Whether the newest picture has come, and is this one to within a level."""
        settled = self.page.evaluate(IS_SETTLED)
        return settled and max(abs(a - b) for a, b in zip(self.picture(), picture, strict=True)) <= ROUNDING

    def press_handle(self) -> tuple[float, float]:
        """Press the middle of the level-0 handle; where that is."""
        box = self.page.locator("g.handle.level-0 circle").first.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        return x, y

    def wait_for(self, condition: Any) -> None:
        """Until condition() holds. Raises AssertionError when it does not within ten seconds."""
        for _ in range(100):
            if condition():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError("the page did not come to what was waited for")


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    complaints: list[str] = []
    with running_server(MODEL) as server, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.goto(server.url)
        page.wait_for_selector("body[data-settled]", state="attached")
        page.get_by_text("Got it").click()  # the hint, which performs a drag and takes it back
        visitor = Visitor(page)
        visitor.wait_for(lambda: page.evaluate("globalThis.steergan.store.before === null && " + IS_SETTLED))
        yield visitor
        browser.close()
    assert complaints == []


def test_the_whole_object_is_dragged_with_its_parts_and_comes_back(visitor: Visitor):
    layout, picture, heatmaps = visitor.layout(), visitor.picture(), visitor.page.evaluate(HEATMAPS)
    assert len(heatmaps) == 3
    x, y = visitor.press_handle()
    visitor.page.mouse.move(x + 80, y + 30, steps=8)
    visitor.page.mouse.up()
    visitor.wait_for(lambda: not visitor.shows(picture) and visitor.page.evaluate(IS_SETTLED))
    dx, dy = (new - old for new, old in zip(visitor.layout()[0][0], layout[0][0], strict=True))
    assert dx > 0.2
    assert dy > 0.05
    for before, after in zip(layout, visitor.layout(), strict=True):
        for (x0, y0), (x1, y1) in zip(before, after, strict=True):
            assert (x1 - x0, y1 - y0) == pytest.approx((dx, dy), abs=1e-6)
    assert all(new != old for new, old in zip(visitor.page.evaluate(HEATMAPS), heatmaps, strict=True))
    assert visitor.past() == 1
    visitor.page.keyboard.press("Control+z")
    visitor.wait_for(lambda: visitor.shows(picture))
    assert visitor.layout() == layout
    assert visitor.past() == 0


def test_escape_takes_a_drag_back(visitor: Visitor):
    layout, picture = visitor.layout(), visitor.picture()
    x, y = visitor.press_handle()
    visitor.page.mouse.move(x - 60, y, steps=5)
    visitor.wait_for(lambda: not visitor.shows(picture) and visitor.page.evaluate(IS_SETTLED))
    visitor.page.keyboard.press("Escape")
    visitor.page.mouse.up()
    visitor.wait_for(lambda: visitor.shows(picture))
    assert visitor.layout() == layout
    assert visitor.past() == 0


def test_arrow_keys_move_the_object_with_its_parts(visitor: Visitor):
    layout = visitor.layout()
    visitor.page.focus("g.handle.level-0")
    visitor.page.keyboard.press("ArrowRight")
    steps = [new[0][0] - old[0][0] for new, old in zip(visitor.layout(), layout, strict=True)]
    assert steps == pytest.approx([2 / 31] * 3, abs=1e-6)  # a pixel
    assert visitor.past() == 1
