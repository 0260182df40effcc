"""The pane that pulls points, in a real browser: its list, its mask, its gestures."""

import pytest

from tests.editing.browser.visitor import MARKS, PAGE, Visitor

pytestmark = MARKS

SAID = "document.querySelector('#pull-said').textContent"
REMOVE = "document.querySelector('#points button')"
TO_GO = "document.querySelector('#points output').textContent"
WHITE = f"""(() => {{
  const {{ data }} = {PAGE}.pull.painted.getContext("2d").getImageData(0, 0, 256, 256);
  return data.filter((value, i) => i % 4 === 0 && value > 127).length;
}})()"""  # pixels that are painted
OTHER_POINTER = f"""(kind) => {PAGE}.pull.svg.dispatchEvent(
  new PointerEvent(kind, {{ pointerId: 77, clientX: 5, clientY: 5, bubbles: true }}))"""


def test_the_list_of_points_stays_while_a_run_goes_on(visitor: Visitor):
    """A button that is pressed slowly is pressed, and one that has the focus keeps it."""
    visitor.begin_a_long_pull()
    visitor.page.evaluate(f"globalThis.kept = {REMOVE}; globalThis.kept.focus()")
    said, to_go = visitor.page.evaluate(SAID), visitor.page.evaluate(TO_GO)
    visitor.wait_for(lambda: visitor.page.evaluate(SAID) != said and visitor.page.evaluate(TO_GO) != to_go)
    assert visitor.page.evaluate(f"globalThis.kept === {REMOVE} && document.activeElement === globalThis.kept")
    visitor.page.locator("#points button").hover()
    visitor.page.mouse.down()
    said = visitor.page.evaluate(SAID)
    visitor.wait_for(lambda: visitor.page.evaluate(SAID) != said)
    visitor.page.mouse.up()
    visitor.rest()
    assert visitor.ask("store.document.drag.points") == []
    assert visitor.page.locator("#points li").count() == 0
    assert visitor.ask("pull.running") is None


def test_the_list_has_as_many_rows_as_points(visitor: Visitor):
    visitor.page.click("#tab-pull")
    for y in (-0.5, 0, 0.5):
        visitor.pull((-0.25, y), (0.25, y))
    assert visitor.page.locator("#points output").all_inner_texts() == ["8.0 px to go"] * 3
    visitor.page.get_by_label("Remove point 1").focus()
    visitor.page.keyboard.press("Enter")
    left = [point["from"][1] for point in visitor.ask("store.document.drag.points")]
    assert left == pytest.approx([0, 0.5], abs=0.01)
    assert visitor.page.locator("#points button").all_inner_texts() == ["Remove"] * 2
    visitor.page.keyboard.press("Enter")  # the focus is where it was
    assert len(visitor.ask("store.document.drag.points")) == 1
    visitor.page.click("#undo")
    assert visitor.page.locator("#points li").count() == 2
    visitor.rest()


def test_a_circle_is_moved_and_resized_in_numbers(visitor: Visitor):
    visitor.page.click("#tab-pull")
    assert visitor.page.locator("#circle-tools").is_hidden()
    visitor.page.click("[data-mask=circle]")
    fields = [visitor.page.locator(f"#circle-{name}") for name in ("x", "y", "radius")]
    assert [field.input_value() for field in fields] == ["0.000", "0.000", "0.500"]
    for field, text in zip(fields, ("0.25", "-0.5", "0.3"), strict=True):
        field.fill(text)
        visitor.page.keyboard.press("Tab")
    assert visitor.ask("store.document.drag.mask.circle") == [0.25, -0.5, 0.3]
    assert visitor.past() == 4  # the circle, and each of its numbers
    fields[2].fill("0")
    visitor.page.keyboard.press("Tab")
    assert visitor.ask("store.document.drag.mask.circle") == [0.25, -0.5, 0.05]  # nothing could change
    assert fields[2].input_value() == "0.050"
    visitor.page.click("#undo")
    assert fields[2].input_value() == "0.300"
    visitor.pull((0.25, -0.5), (-0.5, 0.5))  # its middle
    assert [float(field.input_value()) for field in fields] == pytest.approx([-0.5, 0.5, 0.3], abs=0.01)
    visitor.page.click("[data-mask=off]")
    assert visitor.page.locator("#circle-tools").is_hidden()
    visitor.rest()


def test_a_stroke_that_is_cancelled_leaves_no_paint(visitor: Visitor):
    visitor.page.click("#tab-pull")
    visitor.page.click("[data-mask=brush]")
    visitor.pull((0.5, 0.5), (0.6, 0.5))
    painted, mask = visitor.page.evaluate(WHITE), visitor.ask("store.document.drag.mask.png")
    assert painted > 0
    visitor.page.mouse.move(*visitor.place(-0.5, -0.5))
    visitor.page.mouse.down()
    visitor.page.mouse.move(*visitor.place(-0.2, -0.5), steps=4)
    assert visitor.page.evaluate(WHITE) > painted
    visitor.page.keyboard.press("Escape")
    visitor.page.mouse.up()
    visitor.wait_for(lambda: visitor.page.evaluate(WHITE) == painted)
    assert visitor.ask("store.document.drag.mask.png") == mask
    visitor.rest()


def test_what_is_pulled_is_not_pulled_on_in_another_seed(visitor: Visitor):
    visitor.page.click("#tab-pull")
    visitor.pull((-0.5, 0), (0.25, 0))
    visitor.page.mouse.move(*visitor.place(0.25, 0))
    visitor.page.mouse.down()
    visitor.page.mouse.move(*visitor.place(0.5, 0), steps=4)
    visitor.page.keyboard.press("n")
    visitor.page.mouse.move(*visitor.place(0.5, 0.5), steps=4)
    visitor.page.mouse.up()
    assert visitor.ask("store.document.drag.points") == []
    visitor.pull((-0.5, 0), (0.25, 0))  # and what is pressed next is another
    assert len(visitor.ask("store.document.drag.points")) == 1
    assert visitor.past() == 4
    visitor.rest()


def test_a_second_pointer_does_not_move_what_the_first_pulls(visitor: Visitor):
    visitor.page.click("#tab-pull")
    visitor.page.mouse.move(*visitor.place(-0.5, 0))
    visitor.page.mouse.down()
    visitor.page.mouse.move(*visitor.place(0.25, 0), steps=4)
    for kind in ("pointermove", "pointerup", "pointercancel"):
        visitor.page.evaluate(OTHER_POINTER, kind)
        (point,) = visitor.ask("store.document.drag.points")
        assert point["to"] == pytest.approx([0.25, 0], abs=0.01)
    assert visitor.past() == 0  # it is being pulled yet
    visitor.page.mouse.move(*visitor.place(0.5, 0), steps=4)
    visitor.page.mouse.up()
    assert visitor.ask("store.document.drag.points")[0]["to"] == pytest.approx([0.5, 0], abs=0.01)
    assert visitor.past() == 1
    visitor.rest()
