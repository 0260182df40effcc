"""Work in a real browser, on a shipped model: sessions kept, points pulled, one's own picture found, masks painted."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from editing.document import Document, Mask, encode_array, from_json
from editing.masks import mask_array
from editing.rendering import render
from tests.editing.browser.visitor import MARKS, MODEL, PICTURE, Visitor, png, visiting
from tests.editing.server.running import Running
from training.sampling import Model

pytestmark = MARKS

RUN = 120  # seconds that a search may take
ZOOMS = {"100%": ((1280, 860), 1), "200%": ((640, 430), 2), "67%": ((1920, 1290), 0.67)}  # as browsers zoom


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(MODEL, "cpu")


def move_and_narrow(visitor: Visitor) -> None:
    visitor.page.focus("#stage g.handle.level-0")
    for key in ("Shift+ArrowRight", "ArrowUp", "["):
        visitor.page.keyboard.press(key)
    visitor.rest()


@pytest.mark.parametrize("kind, name", [("session", "session.json"), ("png", "picture.png")])
def test_a_saved_session_opens_to_the_same_pixels(visitor: Visitor, model: Model, kind: str, name: str):
    move_and_narrow(visitor)
    picture, centers, data = visitor.picture(), visitor.centers(), visitor.save(kind)
    if kind == "png":
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), picture)
    else:
        rendered = render(model, from_json(json.loads(data))).image
        assert np.abs(rendered.astype(int) - picture).max() <= 1
    visitor.page.reload()
    visitor.page.wait_for_selector("body[data-settled]", state="attached")
    visitor.rest()
    assert not visitor.shows(picture)
    visitor.open(name, data)
    visitor.wait_for(lambda: visitor.shows(picture))
    assert visitor.centers() == centers
    visitor.page.keyboard.press("Control+z")  # what was before, too
    visitor.rest()
    assert visitor.centers() == centers
    assert visitor.ask("store.layout.levels[0].spreads[0]") != pytest.approx(json_spread(visitor), abs=1e-9)


def json_spread(visitor: Visitor) -> float:
    """Of the state that was undone."""
    return visitor.ask("store.future[0].layout.levels[0].spreads[0]")


SESSION = {"format": "steergan-session", "version": 1, "seed": 3}
LEVEL = {"centers": [[0, 0]], "spreads": [0.1]}
OTHER_STYLES = "w: these styles were found with another model"
FOREIGN = {
    "another model's layout": (
        {"format": "steergan-layout", "layouts": [{"levels": [LEVEL]}]},
        "layout: 1 points a level",
    ),
    "a layout of nothing": ({**SESSION, "layout": {"levels": [None]}}, "layout: 0 points a level"),
    "places that are none": ({**SESSION, "layout": {"levels": [LEVEL, {"centers": 4 * [["a", 0]]}, {}]}}, "layout: "),
    "no seed": ({**SESSION, "seed": "x"}, "seed: a whole number"),
    "points with one end": ({**SESSION, "drag": {"points": [{"from": [0, 0]}], "mask": None}}, "drag: points with two"),
    "no drag": ({**SESSION, "drag": 5}, "drag: points with two"),
    "no history": ({**SESSION, "history": [None]}, "history: at most 200"),
    "styles of objects": ({**SESSION, "object_seeds": [1]}, "object_seeds: this model has 0 objects"),
    "another version": ({**SESSION, "version": 9}, "version 9 of sessions"),
    "another model's styles": ({**SESSION, "w": encode_array(np.zeros([1, 2, 3]))}, OTHER_STYLES),
    "no styles": ({**SESSION, "w": "nothing of the kind"}, OTHER_STYLES),
    "a field that there is not": ({**SESSION, "sed": 3}, "unknown field 'sed'"),
    "a noise that there is not": ({**SESSION, "noise_mode": "loud"}, "noise_mode"),
    "a class of a model without": ({**SESSION, "label": 2}, "label: this model has no classes"),
    "something else": ({"hello": 1}, "neither a session nor a layout"),
}


def toasts(visitor: Visitor) -> str:
    return visitor.page.inner_text("#toasts")


@pytest.mark.parametrize("file, said", FOREIGN.values(), ids=FOREIGN)
def test_a_file_that_does_not_fit_changes_nothing(visitor: Visitor, file: dict[str, Any], said: str):
    picture, centers = visitor.picture(), visitor.centers()
    visitor.open("theirs.json", json.dumps(file).encode())
    visitor.wait_for(lambda: said in toasts(visitor))
    assert visitor.past() == 0
    assert visitor.centers() == centers
    visitor.page.focus("#stage g.handle.level-0")
    visitor.page.keyboard.press("Shift+ArrowRight")  # it works on
    visitor.wait_for(lambda: visitor.shows_another(picture))


def test_earlier_states_of_a_short_session_can_be_gone_back_to(visitor: Visitor):
    """What a file leaves out is as in a new session, in its earlier states, too."""
    earlier = {**SESSION, "seed": 5, "directions": None, "drag": None}
    visitor.open("short.json", json.dumps({**SESSION, "history": [earlier]}).encode())
    visitor.wait_for(lambda: visitor.ask("store.document.seed") == 3)
    visitor.rest()
    visitor.page.click("#undo")
    visitor.rest()
    assert visitor.ask("store.document.seed") == 5
    visitor.page.focus("#stage g.handle.level-0")
    visitor.page.keyboard.press("Shift+ArrowRight")
    visitor.rest()
    assert visitor.past() == 2


def test_a_link_leads_to_the_same_picture_in_this_window_and_in_another(browser: Any, server: Running):
    with visiting(browser, server.url, permissions=["clipboard-read", "clipboard-write"]) as visitor:
        move_and_narrow(visitor)
        picture, link = visitor.picture(), visitor.copied("link")
        visitor.page.click("#new")
        visitor.wait_for(lambda: visitor.shows_another(picture))
        visitor.page.evaluate("address => location.replace(address)", link)  # the address alone changes
        visitor.wait_for(lambda: visitor.shows(picture))
    with visiting(browser, link) as another:
        assert another.shows(picture)


def test_an_address_that_does_not_fit_is_said(visitor: Visitor):
    picture = visitor.picture()
    visitor.page.evaluate("""location.hash = '#{"s":1,"l":[[[[0,0]],[1]]]}'""")
    visitor.wait_for(lambda: "The address does not fit this model. layout: 1 points" in toasts(visitor))
    assert visitor.past() == 0
    assert visitor.shows(picture)


def test_a_point_is_pulled_to_its_target(visitor: Visitor):
    picture = visitor.picture()
    x, y = visitor.centers()[0][0]
    visitor.page.click("#tab-pull")
    visitor.pull((x, y), (x + 0.4 if x < 0 else x - 0.4, y))
    assert visitor.page.locator("#points li").count() == 1
    visitor.page.click("#pull-start")
    visitor.wait_for(lambda: visitor.ask("pull.running") is None, RUN)
    assert "reached" in visitor.page.inner_text("#pull-said")
    visitor.wait_for(lambda: visitor.shows_another(picture))
    (point,) = visitor.ask("store.document.drag.points")
    assert np.hypot(*np.subtract(point["from"], point["to"])) < 2 / 32  # a pixel
    assert visitor.past() == 2  # the arrow, and what came of it
    visitor.page.keyboard.press("Control+z")
    visitor.wait_for(lambda: visitor.shows(picture))


def test_two_clicks_pull_a_point_as_well(visitor: Visitor):
    visitor.page.click("#tab-pull")
    visitor.page.mouse.click(*visitor.place(-0.3, 0.1))
    assert visitor.page.locator("#points li").count() == 0
    visitor.page.keyboard.press("Escape")  # not this one
    visitor.page.mouse.click(*visitor.place(-0.2, 0.1))
    visitor.page.mouse.click(*visitor.place(0.3, -0.4))
    (point,) = visitor.ask("store.document.drag.points")
    assert point["from"] == pytest.approx([-0.2, 0.1], abs=0.01)
    assert point["to"] == pytest.approx([0.3, -0.4], abs=0.01)
    assert visitor.past() == 1


def press(visitor: Visitor, *keys: str) -> None:
    for key in keys:
        visitor.page.keyboard.press(key)


def test_a_point_is_pulled_by_keys_alone(visitor: Visitor):
    picture, pixel = visitor.picture(), 2 / 32
    press(visitor, "p")  # from wherever one is
    assert visitor.page.locator("#pane-pull").is_visible()
    assert visitor.page.locator(".crosshair").count() == 1
    press(visitor, "Shift+ArrowLeft", "ArrowDown", "Enter")
    assert "press Enter" in visitor.page.inner_text("#pull-said")
    press(visitor, "Escape")  # not this one, and the cross stays
    assert visitor.page.locator(".start-point").count() == 0
    press(visitor, "ArrowRight", "Enter", "Shift+ArrowRight", "ArrowUp", "ArrowUp", "Enter")
    (point,) = visitor.ask("store.document.drag.points")
    assert point["from"] == pytest.approx([-9 * pixel, pixel])
    assert point["to"] == pytest.approx([pixel, -pixel])
    assert visitor.past() == 1
    press(visitor, *["Shift+ArrowUp"] * 4)
    assert visitor.ask("pull.crosshair.at") == pytest.approx([pixel, -1])  # not beyond the border
    visitor.page.select_option("#pull-mode", "latent")
    press(visitor, "p", "Control+Enter")
    visitor.wait_for(lambda: visitor.ask("pull.running?.last") is not None)
    press(visitor, "Control+Enter")
    assert visitor.ask("pull.running") is None
    assert "stopped" in visitor.page.inner_text("#pull-said")
    visitor.rest()
    press(visitor, "Escape")
    assert visitor.page.locator(".crosshair").count() == 0
    press(visitor, "Control+z", "Control+z")
    visitor.wait_for(lambda: visitor.shows(picture))
    assert visitor.ask("store.document.drag.points") == []


def test_the_cross_is_for_keys_alone(visitor: Visitor):
    press(visitor, "p", "Enter")
    visitor.page.mouse.click(*visitor.place(0.5, 0.5))  # a place that a key began goes where is clicked, too
    assert visitor.ask("store.document.drag.points")[0]["to"] == pytest.approx([0.5, 0.5], abs=0.01)
    assert visitor.page.locator(".crosshair").count() == 0
    visitor.page.click("#tab-layout")
    press(visitor, "p")
    assert visitor.page.locator(".crosshair").count() == 1
    visitor.page.click("#tab-layout")
    visitor.page.click("#tab-pull")
    assert visitor.page.locator(".crosshair").count() == 0
    visitor.page.focus("#seed")
    press(visitor, "p")  # which is typing
    assert visitor.page.locator(".crosshair").count() == 0


def test_a_run_that_is_refused_leaves_the_page_at_rest(visitor: Visitor):
    visitor.page.click("#tab-pull")
    visitor.page.click("[data-mask=brush]")
    visitor.page.click("[data-brush=points]")
    visitor.pull((-0.2, 0), (0.2, 0))
    visitor.page.click("#pull-start")
    visitor.wait_for(lambda: "nothing may change yet" in visitor.page.inner_text("#pull-said"))
    visitor.rest()
    assert visitor.page.locator("#undo").is_enabled()
    visitor.page.click("[data-mask=off]")
    assert visitor.page.inner_text("#pull-said") == ""  # that was said of another picture
    visitor.rest()


def test_a_run_ends_when_its_picture_is_left(visitor: Visitor):
    visitor.begin_a_long_pull()
    assert visitor.page.locator("#undo").is_disabled()
    visitor.page.click("#new")
    visitor.rest()
    assert visitor.ask("pull.running") is None
    assert "another picture" in visitor.page.inner_text("#pull-said")
    picture, seed = visitor.picture(), visitor.ask("store.document.seed")
    visitor.page.wait_for_timeout(500)  # nothing of the run comes after
    assert visitor.ask("store.document.w") is None
    assert (visitor.ask("store.document.seed"), visitor.shows(picture)) == (seed, True)
    visitor.page.click("#undo")
    visitor.rest()


def test_a_step_of_a_run_is_not_saved_as_a_state(visitor: Visitor):
    visitor.begin_a_long_pull()
    for kind in ("png", "session", "command"):
        visitor.page.click("#save-menu summary")
        visitor.page.click(f"[data-save={kind}]")
        visitor.wait_for(lambda: "stop it, or wait" in toasts(visitor))
        visitor.page.evaluate("document.querySelector('#toasts').replaceChildren()")
    assert visitor.ask("pull.running") is not None
    visitor.page.click("#pull-stop")
    visitor.rest()
    picture, data = visitor.picture(), visitor.save("png")
    visitor.page.click("#new")
    visitor.wait_for(lambda: visitor.shows_another(picture))
    visitor.open("picture.png", data)
    visitor.wait_for(lambda: visitor.shows(picture))


def test_a_run_goes_where_its_arrow_is_moved_to(visitor: Visitor):
    visitor.begin_a_long_pull()
    (start,) = visitor.ask("store.document.drag.points.map(({ from }) => from)")
    visitor.wait_for(lambda: visitor.ask("pull.running.points") != [start])
    visitor.pull((0.9, 0.9), (0.2, -0.6))
    visitor.wait_for(lambda: visitor.ask("pull.running?.last") is not None)
    (point,) = visitor.ask("pull.running.document.drag.points")
    assert point["to"] == pytest.approx([0.2, -0.6], abs=0.01)
    assert point["from"] != start  # but where it has come to
    visitor.page.get_by_label("Remove point 1").click()
    visitor.rest()
    assert visitor.ask("pull.running") is None


def test_a_search_ends_when_its_picture_is_left(visitor: Visitor):
    visitor.page.click("#tab-photo")
    photo = {"name": "me.png", "mimeType": "image/png", "buffer": png(np.zeros([40, 40, 3], np.uint8))}
    visitor.page.set_input_files("#photo", photo)
    visitor.page.fill("#photo-steps", "2000")
    visitor.page.click("#photo-start")
    visitor.wait_for(lambda: visitor.ask("photo.running?.last") is not None)
    visitor.page.click("#new")
    visitor.rest()
    assert visitor.ask("photo.running") is None
    assert "another picture" in visitor.page.inner_text("#photo-said")
    assert visitor.ask("store.document.w") is None


BAD_PICTURES = {
    "a text": (b"This is not a picture.", "no picture that can be read here"),
    "nothing": (b"", "no picture that can be read here"),
    "30 MiB": (b"\xff\xd8" + bytes(30 << 20), "has 30 MiB; 20 are the most"),
}


@pytest.mark.parametrize("data, said", BAD_PICTURES.values(), ids=BAD_PICTURES)
def test_what_is_no_picture_is_refused_and_the_page_goes_on(visitor: Visitor, data: bytes, said: str, tmp_path: Path):
    visitor.page.click("#tab-photo")
    (tmp_path / "me.png").write_bytes(data)
    visitor.page.set_input_files("#photo", tmp_path / "me.png")
    visitor.wait_for(lambda: said in toasts(visitor))
    assert visitor.page.locator("#photo-start").is_disabled()
    assert visitor.page.get_attribute("#status", "data-state") != "gone"


def compared_with(visitor: Visitor) -> np.ndarray:
    """uint8 [R, R, 3]: what is on display while "Compare" is held."""
    visitor.page.locator("#hold").hover()
    visitor.page.mouse.down()
    assert visitor.page.locator("#original").is_visible()
    assert visitor.page.locator("#badge").is_visible()
    shown = visitor.page.evaluate(PICTURE.replace("#picture", "#original"))
    visitor.page.mouse.up()
    return np.array(shown["data"], np.uint8).reshape(shown["side"], shown["side"], 4)[..., :3]


def test_every_state_is_compared_with_its_own_original(visitor: Visitor, model: Model):
    """A seed's picture with itself before it was changed, a picture that was found with the photograph."""
    first = visitor.picture()
    theirs = render(model, Document(seed=4321)).image
    visitor.wait_for(lambda: visitor.ask("picture.original") is not None)
    visitor.page.click("#tab-photo")
    visitor.page.set_input_files("#photo", {"name": "me.png", "mimeType": "image/png", "buffer": png(theirs)})
    visitor.page.fill("#photo-steps", "10")
    visitor.page.click("#photo-start")
    visitor.wait_for(lambda: "step 10 of 10" in visitor.page.inner_text("#photo-said"), RUN)
    visitor.rest()
    found = visitor.picture()
    np.testing.assert_array_equal(compared_with(visitor), theirs)
    data = visitor.save("session")
    visitor.page.click("#undo")
    visitor.wait_for(lambda: visitor.shows(first))
    assert np.abs(compared_with(visitor).astype(int) - first).max() <= 1
    visitor.page.click("#new")
    visitor.rest()
    second = visitor.picture()
    visitor.wait_for(lambda: visitor.ask("picture.original") is not None)
    assert np.abs(compared_with(visitor).astype(int) - second).max() <= 1
    visitor.page.reload()
    visitor.page.wait_for_selector("body[data-settled]", state="attached")
    visitor.open("found.json", data)  # which does not hold the photograph
    visitor.wait_for(lambda: visitor.shows(found))
    assert np.abs(compared_with(visitor).astype(int) - found).max() <= 1


def painted(visitor: Visitor) -> np.ndarray:
    """bool [side, side]: where the mask is white."""
    drawn = visitor.ask("store.document.drag.mask.png")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn))).convert("L")) > 127


def test_a_new_picture_has_no_mask_and_what_was_painted_is_gone(visitor: Visitor):
    visitor.page.click("#tab-pull")
    visitor.page.click("[data-mask=brush]")
    visitor.pull((-0.6, -0.6), (-0.5, -0.6))
    assert painted(visitor).any()
    visitor.page.click("#new")
    visitor.rest()
    assert visitor.page.get_attribute("[data-mask=off]", "aria-checked") == "true"
    visitor.pull((-0.3, 0), (0.3, 0))  # a point, and no stroke
    assert visitor.page.locator("#points li").count() == 1
    visitor.page.click("[data-mask=brush]")
    assert not painted(visitor).any()
    visitor.pull((0.6, 0.6), (0.5, 0.6))
    assert painted(visitor)[:128, :128].sum() == 0
    assert painted(visitor)[128:, 128:].sum() > 0


def test_strokes_add_up_and_points_are_pulled_beside_them(visitor: Visitor):
    visitor.page.click("#tab-pull")
    visitor.page.click("[data-mask=brush]")
    quarters = [(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)]
    for x, y in quarters:  # one right after the other
        visitor.page.mouse.move(*visitor.place(x, y))
        visitor.page.mouse.down()
        visitor.page.mouse.up()
    white = painted(visitor)
    assert [bool(white[int((y + 1) * 128), int((x + 1) * 128)]) for x, y in quarters] == [True] * 4
    visitor.page.click("[data-brush=points]")
    visitor.pull((-0.5, -0.5), (0.5, -0.5))
    assert visitor.page.locator("#points li").count() == 1
    visitor.page.click("[data-brush=erase]")
    visitor.page.mouse.click(*visitor.place(0.5, 0.5))
    assert not painted(visitor)[192, 192]
    for _ in range(2):
        visitor.page.click("#undo")
    np.testing.assert_array_equal(painted(visitor), white)
    visitor.rest()


def test_a_run_is_stopped_and_keeps_the_last_picture(visitor: Visitor):
    visitor.begin_a_long_pull()
    visitor.page.click("#pull-stop")
    visitor.rest()
    assert "stopped" in visitor.page.inner_text("#pull-said")
    assert visitor.ask("store.document.w") is not None


def test_ones_own_picture_is_found_and_can_be_moved(visitor: Visitor, model: Model, tmp_path: Path):
    theirs = render(model, Document(seed=4321)).image
    visitor.page.click("#tab-photo")
    photo = {"name": "me.png", "mimeType": "image/png", "buffer": png(np.kron(theirs, np.ones([3, 3, 1], np.uint8)))}
    visitor.page.set_input_files("#photo", photo)
    visitor.page.fill("#photo-steps", "30")
    visitor.page.click("#photo-start")
    visitor.wait_for(lambda: "step 30 of 30" in visitor.page.inner_text("#photo-said"), RUN)
    rms = float(re.search(r"off by ([\d.]+) of 255", visitor.page.inner_text("#photo-said"))[1])
    visitor.rest()
    ours = visitor.picture().astype(float)
    assert np.sqrt(np.square(ours - theirs).mean()) == pytest.approx(rms, abs=2)  # the page says what is so
    others = [render(model, Document(seed=seed)).image.astype(float) for seed in range(20)]
    assert rms < min(np.sqrt(np.square(other - theirs).mean()) for other in others)
    visitor.page.click("#tab-layout")
    picture = visitor.picture()
    visitor.page.focus("#stage g.handle.level-0")
    visitor.page.keyboard.press("Shift+ArrowRight")
    visitor.wait_for(lambda: visitor.shows_another(picture))


@pytest.mark.parametrize("size, ratio", ZOOMS.values(), ids=ZOOMS)
def test_masks_are_where_they_are_painted(browser: Any, server: Running, size: tuple[int, int], ratio: float):
    x, y = 0.25, -0.5
    with visiting(browser, server.url, size, device_scale_factor=ratio) as visitor:
        visitor.page.click("#tab-pull")
        visitor.page.click("[data-mask=brush]")
        visitor.page.mouse.move(*visitor.place(x, y))
        visitor.page.mouse.down()
        visitor.page.mouse.up()
        drawn = visitor.ask("store.document.drag.mask.png")
        white = np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn))).convert("L")) > 127
        rows, columns = np.nonzero(white)
        middle = np.array([columns.mean() + 0.5, rows.mean() + 0.5]) / len(white) * 2 - 1
        np.testing.assert_allclose(middle, [x, y], atol=0.01)
        rows, columns = np.nonzero(mask_array(Mask(png=drawn), 32, "cells"))
        np.testing.assert_allclose([(columns.mean() + 0.5) / 16 - 1, (rows.mean() + 0.5) / 16 - 1], [x, y], atol=1 / 32)
        visitor.page.click("[data-mask=circle]")
        visitor.pull((0, 0), (x, y))  # its middle
        circle = visitor.ask("store.document.drag.mask.circle")
        assert circle[:2] == pytest.approx([x, y], abs=0.01)
        visitor.rest()


def test_a_circle_covers_the_pixels_that_are_in_it():
    """Middles of pixels are at (2i + 1) / R - 1, or from -1 to 1."""
    for registration, axis in (("cells", (2 * np.arange(8) + 1) / 8 - 1), ("corners", np.linspace(-1, 1, 8))):
        inside = np.hypot(axis[None] - 0.9, axis[:, None]) <= 0.3
        np.testing.assert_array_equal(mask_array(Mask(circle=(0.9, 0, 0.3)), 8, registration), inside)
