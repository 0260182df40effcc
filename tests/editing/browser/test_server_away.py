"""The server goes and comes back; two pages at once."""

from typing import Any

import numpy as np

from tests.editing.browser.visitor import MARKS, MODEL, visiting
from tests.editing.server.running import Running, running_server

pytestmark = MARKS

REFUSED = "WebSocket connection to"


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
