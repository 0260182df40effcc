"""The server goes and comes back; two pages at once."""

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from editing.server.app import MOST_PAGES
from tests.editing.browser.visitor import MARKS, MODEL, Visitor, visiting
from tests.editing.server.running import Running, open_page, running_server
from tests.tiny_models import save_tiny_snapshot

pytestmark = MARKS

REFUSED = ("WebSocket connection to", "ERR_CONNECTION_REFUSED")  # and the question why


def test_the_page_says_that_the_server_has_gone_and_goes_on_when_it_is_back(browser: Any):
    with running_server(MODEL) as first:
        port = int(first.url.rstrip("/").rsplit(":", 1)[1])
        window = visiting(browser, first.url, expects=REFUSED)
        visitor = window.__enter__()
        visitor.page.focus("#stage g.handle.level-0")
        visitor.page.keyboard.press("Shift+ArrowLeft")
        visitor.rest()
        picture, centers = visitor.picture(), visitor.centers()
    page = visitor.page
    visitor.wait_for(lambda: page.locator("#notice").is_visible())
    assert "The server does not answer" in page.inner_text("#notice")
    assert page.get_attribute("#status", "data-state") == "gone"
    page.click("#film-gif")  # what is asked for meanwhile is refused, and can be asked for again
    visitor.wait_for(lambda: page.locator("#film-gif").is_enabled() and page.locator(".toast.error").count() > 0)
    page.click("#tab-pull")
    visitor.pull((0, 0), (0.3, 0))
    page.click("#pull-start")
    visitor.wait_for(lambda: page.locator("#pull-start").is_enabled())
    assert "does not answer" in page.inner_text("#pull-said")
    page.click("#undo")
    page.click("#tab-layout")
    with running_server(MODEL, port=port):
        visitor.wait_for(lambda: not page.locator("#notice").is_visible())
        visitor.wait_for(lambda: visitor.shows(picture))
        assert visitor.centers() == centers
        page.focus("#stage g.handle.level-0")
        page.keyboard.press("Shift+ArrowRight")
        visitor.wait_for(lambda: visitor.shows_another(picture))
        window.__exit__(None, None, None)


Act = Callable[[Visitor], None]


def came_back_with(browser: Any, model: Path, moves: Act, looks: Act) -> None:
    """moves: what is done to the shipped model's picture, before a server of another one is at its place."""
    with running_server(MODEL) as first:
        port = int(first.url.rstrip("/").rsplit(":", 1)[1])
        window = visiting(browser, first.url, expects=REFUSED)
        visitor = window.__enter__()
        moves(visitor)
    visitor.wait_for(lambda: visitor.page.locator("#notice").is_visible())
    with running_server(model, port=port):
        looks(visitor)
        window.__exit__(None, None, None)


def nudge(visitor: Visitor) -> None:
    visitor.page.focus("#stage g.handle.level-0")
    for _ in range(2):
        visitor.page.keyboard.press("Shift+ArrowLeft")
        visitor.rest()


def test_a_server_with_another_model_goes_on_with_the_session_if_it_fits(browser: Any, tmp_path: Path):
    other = shutil.copy(MODEL, tmp_path / "other.safetensors")
    had: dict[str, Any] = {}

    def moves(visitor: Visitor) -> None:
        nudge(visitor)
        had.update(centers=visitor.centers(), picture=visitor.picture())

    def looks(visitor: Visitor) -> None:
        visitor.page.get_by_text("the session goes on with it").wait_for()
        visitor.wait_for(lambda: visitor.shows(had["picture"]))
        assert visitor.ask("model.network") == str(other)
        assert visitor.centers() == had["centers"]
        visitor.page.click("#undo")
        visitor.rest()
        assert visitor.centers() != had["centers"]
        visitor.page.reload()  # it is taken up once
        visitor.page.wait_for_selector("body[data-settled]", state="attached")
        visitor.rest()
        assert visitor.past() == 0

    came_back_with(browser, Path(other), moves, looks)


def test_a_session_that_another_model_does_not_fit_is_kept_as_a_file(browser: Any, tmp_path: Path):
    had: dict[str, Any] = {}

    def moves(visitor: Visitor) -> None:
        nudge(visitor)
        had.update(visitor.ask("store.toJSON()"))

    def looks(visitor: Visitor) -> None:
        with visitor.page.expect_download() as download:
            visitor.page.get_by_text("does not fit the server's new model").wait_for()
        assert json.loads(Path(download.value.path()).read_text()) == had
        visitor.rest()
        assert visitor.past() == 0
        assert len(visitor.centers()) == 1

    came_back_with(browser, save_tiny_snapshot(tmp_path, "spatialgan-indoor"), moves, looks)


def test_a_server_that_asks_for_its_password_again_is_no_server_that_is_away(browser: Any):
    """Started again it knows nobody: the page leads to the login, and goes on after it with what it has."""
    with running_server(MODEL, password="open sesame") as first:
        port = int(first.url.rstrip("/").rsplit(":", 1)[1])
        window = browser.new_context()
        window.add_init_script("localStorage.setItem('steergan-hint-seen', '1')")
        page = window.new_page()
        log_in(page, first.url)
        visitor = Visitor(page)
        page.wait_for_selector("body[data-settled]", state="attached")
        page.focus("#stage g.handle.level-0")
        page.keyboard.press("Shift+ArrowLeft")
        visitor.rest()
        centers = visitor.centers()
    notice = page.locator("#notice")
    visitor.wait_for(lambda: "does not answer" in notice.inner_text())
    with running_server(MODEL, password="open sesame", port=port):
        visitor.wait_for(lambda: "asks for its password" in notice.inner_text())
        with window.expect_page() as opened:
            notice.locator("a").click()
        log_in(opened.value)
        visitor.wait_for(lambda: not notice.is_visible())
        visitor.rest()
        assert visitor.centers() == centers
    window.close()


def log_in(page: Any, url: str | None = None) -> None:
    if url:
        page.goto(url)
    page.fill("input[name=password]", "open sesame")
    page.click("button")
    page.wait_for_url("**/")


def test_one_page_too_many_is_told_so_and_goes_on_when_another_is_closed(browser: Any, server: Running):
    with ExitStack() as others:
        for _ in range(MOST_PAGES):
            others.enter_context(open_page(server, wait=False))
        window = browser.new_context()
        page = window.new_page()
        page.goto(server.url)
        page.get_by_text("pages of this editor are open").wait_for()
    page.wait_for_selector("body[data-settled]", state="attached")
    assert not page.locator("#notice").is_visible()
    window.close()


def test_two_pages_do_not_disturb_each_other(browser: Any, server: Running):
    with visiting(browser, server.url) as one, visiting(browser, server.url) as other:
        other.page.fill("#seed", "11")
        other.page.keyboard.press("Enter")
        other.rest()
        theirs, centers = other.picture(), other.centers()
        assert not np.array_equal(one.picture(), theirs)
        x, y = one.press_handle()
        for number in range(40):
            one.page.mouse.move(x + 3 * number, y)
            if number % 10 == 0:
                assert other.shows(theirs)
        one.page.mouse.up()
        one.rest()
        assert one.past() == 1
        assert (other.past(), other.centers()) == (1, centers)
        assert other.shows(theirs)
