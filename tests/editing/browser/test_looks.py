"""Overlays in a real browser: the discriminator's attention, the generator's features, and differences."""

import json
from typing import Any

import numpy as np
import pytest

from editing.document import from_json
from tests.editing.browser.visitor import MARKS, Visitor
from tests.editing.server.running import Running, open_page

pytestmark = MARKS

LEAST, MORE = 60, 160  # of 255: how opaque the smallest value is, and how much more the largest
OVERLAY = """() => {
  const canvas = document.querySelector("#overlay");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return { side: canvas.width, data: Array.from(data) };
}"""


def overlay(visitor: Visitor) -> np.ndarray:
    """uint8 [r, r, 4], as it is drawn."""
    shown = visitor.page.evaluate(OVERLAY)
    return np.array(shown["data"], np.uint8).reshape(shown["side"], shown["side"], 4)


def is_shown(visitor: Visitor) -> bool:
    return visitor.page.locator("#overlay").is_visible()


def of_server(server: Running, visitor: Visitor, look: str) -> np.ndarray:
    """uint8 [r, r]: the overlay that the server has of the page's session."""
    kind, resolution = look.split(":")
    document = from_json(json.loads(visitor.page.evaluate("JSON.stringify(globalThis.steergan.store.document)")))
    with open_page(server) as page:
        page.render(document, overlay={"kind": kind, "resolution": int(resolution)})
        _, parts = page.wait_for("picture")
    return np.frombuffer(parts["overlay"], np.uint8).reshape(int(resolution), int(resolution))


def choices(visitor: Visitor) -> list[str]:
    return visitor.page.eval_on_selector_all("#look option", "options => options.map(({ value }) => value)")


@pytest.mark.parametrize("kind", ["attention", "features"])
def test_an_overlay_is_the_servers_and_follows_the_picture(visitor: Visitor, server: Running, kind: str):
    visitor.page.click("#tab-look")
    offered = [value for value in choices(visitor) if value.startswith(kind)]
    assert len(offered) >= 2
    assert not is_shown(visitor)
    for look in offered:
        visitor.page.select_option("#look", look)
        visitor.rest()
        visitor.wait_for(lambda: is_shown(visitor))
        values = (overlay(visitor)[..., 3].astype(float) - LEAST) / MORE * 255
        np.testing.assert_allclose(values, of_server(server, visitor, look), atol=2)
        assert (values.min(), values.max()) == pytest.approx((0, 255), abs=2)
        assert visitor.page.eval_on_selector("#look", "select => select.selectedOptions[0].text").startswith(kind)
    before, picture = overlay(visitor), visitor.picture()
    visitor.page.focus("#stage g.handle.level-0")
    visitor.page.keyboard.press("Shift+ArrowUp")
    visitor.wait_for(lambda: visitor.shows_another(picture))
    assert np.abs(overlay(visitor).astype(int) - before).max() > 20
    visitor.page.locator("#look-opacity").fill("0.25")
    assert visitor.page.eval_on_selector("#overlay", "each => getComputedStyle(each).opacity") == "0.25"
    visitor.page.select_option("#look", "")
    visitor.wait_for(lambda: not is_shown(visitor))


def test_the_difference_to_the_original_is_what_the_page_says(visitor: Visitor):
    original: Any = visitor.picture().astype(float)
    visitor.wait_for(lambda: visitor.ask("picture.original") is not None)
    visitor.page.focus("#stage g.handle.level-0")
    visitor.page.keyboard.press("Shift+ArrowUp")
    visitor.rest()
    visitor.page.click("#tab-look")
    visitor.page.select_option("#look", next(each for each in choices(visitor) if each))
    visitor.rest()
    visitor.page.click("#difference")
    visitor.rest()
    assert (visitor.page.input_value("#look"), is_shown(visitor)) == ("", True)  # one map at a time
    far = np.abs(visitor.picture() - original).mean()
    assert far > 1
    said = visitor.page.inner_text("#look-said")
    assert float(said.split("differ by ")[1].split(" of")[0]) == pytest.approx(far, abs=0.6)  # pictures within a level
    visitor.page.keyboard.press("Control+z")  # what the pictures differ by follows them
    visitor.wait_for(lambda: "differ by 0." in visitor.page.inner_text("#look-said"))
    visitor.page.keyboard.press("Control+y")
    visitor.wait_for(lambda: "differ by 0." not in visitor.page.inner_text("#look-said"))
    visitor.page.click("#new")  # whose own original comes after it
    visitor.rest()
    visitor.wait_for(lambda: "differ by 0.0 " in visitor.page.inner_text("#look-said"))
    assert visitor.ask("picture.original") is not None
    visitor.page.select_option("#look", next(each for each in choices(visitor) if each))
    assert visitor.page.get_attribute("#difference", "aria-pressed") == "false"
    assert visitor.page.inner_text("#look-said") == ""
    visitor.page.select_option("#look", "")
    visitor.page.click("#difference")
    visitor.page.click("#difference")
    assert not is_shown(visitor)
