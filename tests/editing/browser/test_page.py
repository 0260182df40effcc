"""The page in a real Chromium, on the shipped model: what is dragged moves, comes back, and is one undo entry."""

from typing import Any

import pytest

from tests.editing.browser.visitor import IS_AT_REST, MARKS, Visitor, visiting
from tests.editing.server.running import Running

pytestmark = MARKS

LIST_OF_BUTTONS = "globalThis.buttons = [...document.querySelectorAll('#strip button')]"
AT_PLACE = "([x, y]) => document.elementFromPoint(x, y)?.closest('button, input')?.id"
IS_SAME_BUTTON = "globalThis.buttons.map((button, i) => button === document.querySelectorAll('#strip button')[i])"


def test_the_whole_object_is_dragged_with_its_parts_and_comes_back(visitor: Visitor):
    centers, picture, heatmaps = visitor.centers(), visitor.picture(), visitor.heatmaps()
    assert len(heatmaps) == 3
    x, y = visitor.press_handle()
    visitor.page.mouse.move(x + 80, y + 30, steps=8)
    visitor.page.mouse.up()
    visitor.wait_for(lambda: visitor.shows_another(picture))
    dx, dy = (new - old for new, old in zip(visitor.centers()[0][0], centers[0][0], strict=True))
    assert dx > 0.2
    assert dy > 0.05
    for before, after in zip(centers, visitor.centers(), strict=True):
        for (x0, y0), (x1, y1) in zip(before, after, strict=True):
            assert (x1 - x0, y1 - y0) == pytest.approx((dx, dy), abs=1e-6)
    assert all(new != old for new, old in zip(visitor.heatmaps(), heatmaps, strict=True))
    assert visitor.past() == 1
    visitor.page.keyboard.press("Control+z")
    visitor.wait_for(lambda: visitor.shows(picture))
    assert visitor.centers() == centers
    assert visitor.past() == 0


def test_the_ring_is_the_spread(visitor: Visitor):
    """Pulled by its grip or anywhere on its line, it goes where the pointer is; the wheel turns it, too."""
    visitor.page.focus("#stage g.handle.level-0")
    picture, heatmaps, (x, y) = visitor.picture(), visitor.heatmaps(), visitor.centers()[0][0]
    spread = visitor.ask("store.layout.levels[0].spreads[0]")
    grip = visitor.page.locator("#stage .grip").bounding_box()
    visitor.page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    visitor.page.mouse.down()
    visitor.page.mouse.move(*visitor.place(x + 0.3, y), steps=5)
    assert visitor.ask("store.layout.levels[0].spreads[0]") == pytest.approx(0.3**2, rel=0.05)
    visitor.page.keyboard.press("Escape")
    visitor.page.mouse.up()
    assert visitor.ask("store.layout.levels[0].spreads[0]") == spread
    visitor.pull((x, y - spread**0.5), (x, y - 0.4))
    visitor.rest()
    assert visitor.ask("store.layout.levels[0].spreads[0]") == pytest.approx(0.4**2, rel=0.05)
    assert visitor.centers()[0][0] == [x, y]
    assert visitor.past() == 1
    assert visitor.shows_another(picture)
    assert visitor.heatmaps()[0] != heatmaps[0]
    visitor.page.mouse.wheel(0, -100)
    visitor.wait_for(lambda: visitor.past() == 2)
    assert visitor.ask("store.layout.levels[0].spreads[0]") > 0.17


def test_a_handle_is_under_the_pointer_that_drags_it(visitor: Visitor):
    """-1 and 1 are the borders of this model's pictures, on the page as in the model."""
    visitor.press_handle()
    for x, y in ((-0.9, 0.8), (0.7, -0.6)):
        visitor.page.keyboard.down("Alt")  # without snapping
        visitor.page.mouse.move(*visitor.place(x, y), steps=4)
        assert visitor.centers()[0][0] == pytest.approx([x, y], abs=0.01)
    visitor.page.mouse.up()
    visitor.page.keyboard.up("Alt")
    visitor.rest()


def test_escape_takes_a_drag_back(visitor: Visitor):
    centers, picture = visitor.centers(), visitor.picture()
    x, y = visitor.press_handle()
    visitor.page.mouse.move(x - 60, y, steps=5)
    visitor.wait_for(lambda: visitor.shows_another(picture))
    visitor.page.keyboard.press("Escape")
    visitor.page.mouse.up()
    visitor.wait_for(lambda: visitor.shows(picture))
    assert visitor.centers() == centers
    assert visitor.past() == 0


def test_arrow_keys_move_the_object_with_its_parts(visitor: Visitor):
    centers = visitor.centers()
    visitor.page.focus("#stage g.handle.level-0")
    visitor.page.keyboard.press("ArrowRight")
    steps = [new[0][0] - old[0][0] for new, old in zip(visitor.centers(), centers, strict=True)]
    assert steps == pytest.approx([2 / 32] * 3, abs=1e-6)  # a pixel
    assert visitor.past() == 1


def test_a_held_key_is_one_entry(visitor: Visitor):
    centers = visitor.centers()
    visitor.page.focus("#stage g.handle.level-0")
    for _ in range(5):
        visitor.page.keyboard.down("ArrowLeft")  # Playwright repeats a key that is down
    visitor.page.keyboard.up("ArrowLeft")
    assert visitor.centers()[0][0][0] - centers[0][0][0] == pytest.approx(-5 * 2 / 32, abs=1e-6)
    assert visitor.past() == 1
    for _ in range(3):
        visitor.page.keyboard.down("]")
    visitor.page.keyboard.up("]")
    assert visitor.past() == 2
    visitor.page.keyboard.press("Control+z")
    visitor.page.keyboard.press("Control+z")
    assert visitor.centers() == centers


def test_a_late_picture_does_not_move_the_points_of_a_newer_state(visitor: Visitor):
    """Undone at once: the picture of what was undone comes, and its layout is not taken for the seed's."""
    centers = visitor.centers()
    handle = "document.querySelector('#stage g.handle.level-0')"
    visitor.page.evaluate(f"""() => {{
      const {{ store }} = globalThis.steergan;
      globalThis.seen = [];
      store.addEventListener("change", () => globalThis.seen.push(store.layout.levels[0].centers[0][0]));
      {handle}.focus();
      {handle}.dispatchEvent(new KeyboardEvent("keydown", {{ key: "ArrowLeft", bubbles: true }}));
      {handle}.dispatchEvent(new KeyboardEvent("keyup", {{ key: "ArrowLeft", bubbles: true }}));
      store.undo();
    }}""")
    visitor.page.evaluate("globalThis.seen = []")
    visitor.rest()
    assert visitor.centers() == centers
    assert set(visitor.page.evaluate("globalThis.seen")) <= {centers[0][0][0]}


def test_space_on_a_button_is_that_buttons(visitor: Visitor):
    """Of a label that opens files, too; anywhere else it shows the original while it is held."""
    visitor.wait_for(lambda: visitor.ask("picture.original") is not None)
    with visitor.page.expect_file_chooser():
        visitor.page.focus("#open-label")
        visitor.page.keyboard.down(" ")
    assert not visitor.page.locator("#original").is_visible()
    visitor.page.keyboard.up(" ")
    visitor.page.focus("#stage g.handle.level-0")
    visitor.page.keyboard.down(" ")
    assert visitor.page.locator("#original").is_visible()
    visitor.page.keyboard.up(" ")
    assert not visitor.page.locator("#original").is_visible()


def test_the_original_is_shown_by_keys_on_its_button(visitor: Visitor):
    visitor.wait_for(lambda: visitor.ask("picture.original") is not None)
    original = visitor.page.locator("#original")
    visitor.page.focus("#hold")
    for key in (" ", "Enter"):
        visitor.page.keyboard.down(key)
        assert original.is_visible()
        visitor.page.keyboard.up(key)
        assert not original.is_visible()
    visitor.page.keyboard.down(" ")
    visitor.page.focus("#new")
    assert not original.is_visible()
    visitor.page.keyboard.up(" ")
    visitor.rest()


def test_keys_go_on_after_something_was_chosen(visitor: Visitor):
    """A choice keeps letters for itself, and a box its own Space; what is typed is nobody else's."""
    visitor.page.focus("#noise")
    visitor.page.select_option("#noise", "random")
    assert visitor.ask("store.document.noise_mode") == "random"
    visitor.page.keyboard.press("Control+z")
    assert visitor.ask("store.document.noise_mode") == "const"
    assert visitor.page.input_value("#noise") == "const"
    visitor.page.keyboard.press("Control+y")
    assert visitor.page.input_value("#noise") == "random"
    visitor.page.keyboard.press("p")
    assert visitor.page.locator("#pane-pull").is_hidden()
    visitor.page.focus("#pixels")
    visitor.page.keyboard.press(" ")
    assert visitor.page.is_checked("#pixels")
    visitor.page.keyboard.press("n")
    assert visitor.past() == 2
    visitor.page.focus("#seed")
    for key in ("n", "p"):
        visitor.page.keyboard.press(key)
    assert visitor.past() == 2
    assert visitor.page.locator("#pane-pull").is_hidden()
    visitor.page.focus("#pixels")
    visitor.page.keyboard.press("p")
    assert visitor.page.locator("#pane-pull").is_visible()
    visitor.rest()


def test_the_strip_keeps_the_pictures_that_it_has(visitor: Visitor):
    visitor.page.focus("#stage g.handle.level-0")
    for number in range(3):
        visitor.page.keyboard.press("ArrowRight")
        visitor.rest()
        visitor.wait_for(lambda number=number: visitor.page.locator("#strip canvas").count() == number + 2)
    visitor.page.evaluate(LIST_OF_BUTTONS)
    visitor.page.keyboard.press("ArrowRight")
    visitor.rest()
    visitor.page.keyboard.press("Control+z")
    visitor.rest()
    assert visitor.page.evaluate(IS_SAME_BUTTON) == [True] * 4
    assert visitor.page.locator("#strip button").count() == 5
    assert visitor.page.locator("#strip button[aria-selected=true]").get_attribute("aria-label") == "State 4"


def test_the_first_visit_sees_a_drag_that_leaves_nothing_behind(browser: Any, server: Running):
    with visiting(browser, server.url, hint=True) as visitor:
        seeds_own = visitor.ask("store.drawn")
        visitor.wait_for(lambda: visitor.ask("store.layout.levels[0].centers") != seeds_own["levels"][0]["centers"])
        assert visitor.page.locator("#hint").is_visible()
        visitor.page.get_by_text("Got it").click()
        visitor.wait_for(lambda: visitor.page.evaluate(IS_AT_REST))
        assert visitor.ask("store.layout") == seeds_own
        assert visitor.past() == 0
        assert not visitor.page.locator("#hint").is_visible()


def test_the_first_nudge_is_not_taken_back_with_the_hint(browser: Any, server: Running):
    with visiting(browser, server.url, hint=True) as visitor:
        centers = visitor.ask("store.drawn.levels.map((level) => level.centers)")
        visitor.page.focus("#stage g.handle.level-0")
        visitor.wait_for(lambda: visitor.ask("store.before") is not None)
        visitor.page.keyboard.down("ArrowUp")
        visitor.page.wait_for_timeout(200)  # frames of the hint would come
        visitor.page.keyboard.up("ArrowUp")
        assert visitor.past() == 1
        assert visitor.centers()[0][0] == pytest.approx([centers[0][0][0], centers[0][0][1] - 2 / 32], abs=1e-6)
        visitor.page.keyboard.down("ArrowUp")
        visitor.page.mouse.move(5, 5)
        visitor.page.mouse.down()  # the hint is over and listens to nothing more
        visitor.page.mouse.up()
        visitor.page.keyboard.up("ArrowUp")
        assert visitor.past() == 2
        assert visitor.page.locator("#hint").is_hidden()
        visitor.rest()


@pytest.mark.parametrize("size", [(1280, 860), (1024, 700), (400, 800), (1920, 1080)])
def test_nothing_lies_behind_the_strip(browser: Any, server: Running, size: tuple[int, int]):
    """Every button beside the picture can be brought into view, and what is there is that button."""
    with visiting(browser, server.url, size) as visitor:
        for name in ("new", "seed", "reset", "hold", "wipe-toggle"):
            visitor.page.locator(f"#{name}").scroll_into_view_if_needed()
            box = visitor.page.locator(f"#{name}").bounding_box()
            middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
            assert visitor.page.evaluate(AT_PLACE, middle) == name
        if size[0] > 1020:  # without scrolling, too
            assert visitor.page.evaluate("document.querySelector('main').scrollTop") == 0
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_a_finger_drags_and_the_page_does_not_scroll(browser: Any, server: Running):
    with visiting(browser, server.url, (400, 800), has_touch=True) as visitor:
        picture, start = visitor.picture(), visitor.centers()[0][0]
        x, y = visitor.place(*start)
        fingers = visitor.page.context.new_cdp_session(visitor.page)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            places = [{"x": x, "y": y} for x, y in points]
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

        touch("touchStart", (x, y))
        for step in range(1, 9):
            touch("touchMove", (x + 6 * step, y - 5 * step))
        touch("touchEnd")
        visitor.wait_for(lambda: visitor.shows_another(picture))
        end = visitor.centers()[0][0]
        assert end[0] - start[0] > 0.15
        assert end[1] - start[1] < -0.12
        assert visitor.past() == 1
        assert visitor.page.evaluate("scrollY") == 0
