"""States in a real browser: what belongs to which seed, what Play leaves behind, what the gallery changes."""

from typing import Any

import numpy as np
import pytest

from editing.document import Document
from editing.rendering import render
from tests.editing.browser.visitor import MARKS, MODEL, PAGE, PICTURE, Visitor
from training.sampling import Model

pytestmark = MARKS

HANDLE = "#stage g.handle.level-0"
NEW = "document.querySelector('#new').click();"
NUDGE = f"""for (const kind of ["keydown", "keyup"]) {{
  const pressed = new KeyboardEvent(kind, {{ key: "ArrowLeft", bubbles: true }});
  document.querySelector("{HANDLE}").dispatchEvent(pressed);
}}"""
NO_FILM = f"{PAGE}.backend.film = (documents) => {{ globalThis.sent = documents; return -1; }}"


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(MODEL, "cpu")


def layout_of_seed(model: Model, seed: int) -> list[list[list[float]]]:
    """[x, y] of every centre, level by level."""
    layout: Any = render(model, Document(seed=seed)).layout_json()
    return [level["centers"] for level in layout["levels"]]


def assert_is_the_seeds(visitor: Visitor, model: Model) -> None:
    """The centres of the present state are those of its seed."""
    wanted = layout_of_seed(model, visitor.ask("store.document.seed"))
    for ours, theirs in zip(visitor.centers(), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def move(visitor: Visitor, *keys: str) -> None:
    """A state of the session for each key."""
    visitor.page.focus(HANDLE)
    for key in keys:
        visitor.page.keyboard.press(key)
        visitor.rest()


# ---- whose layout it is


def test_a_seed_that_was_skipped_has_its_own_layout(visitor: Visitor, model: Model):
    """New pictures, one after the other before the first has come: nobody has seen that one's layout."""
    first = visitor.ask("store.layout")
    visitor.page.evaluate(NEW + NEW)
    assert visitor.ask("store.layout") is None
    visitor.rest()
    assert visitor.ask("store.past.map(({ layout }) => layout)") == [first, None]
    assert_is_the_seeds(visitor, model)
    visitor.page.evaluate(NO_FILM)
    visitor.page.click("#film-gif")
    assert visitor.page.evaluate("globalThis.sent.map(({ layout }) => layout)") == [None] * 3  # drawn from the seeds
    visitor.page.evaluate(f"{PAGE}.history.failed()")
    visitor.page.locator("#strip button").nth(1).click()
    visitor.rest()
    assert_is_the_seeds(visitor, model)


def test_reset_goes_to_the_seeds_own_layout_at_once(visitor: Visitor):
    centers = visitor.centers()
    move(visitor, "Shift+ArrowUp", "Shift+ArrowUp")
    visitor.page.click("#undo")
    visitor.page.evaluate("document.querySelector('#reset').click()")
    assert visitor.centers() == centers  # and not to what was moved, until the picture comes
    visitor.rest()
    assert visitor.centers() == centers


def test_points_are_not_moved_before_their_picture_has_come(visitor: Visitor, model: Model):
    visitor.page.evaluate(NEW + NUDGE)
    assert visitor.page.locator(HANDLE).is_visible()  # as the picture is, which is the old one
    assert visitor.ask("store.document.layout") is None
    visitor.rest()
    assert visitor.past() == 1
    assert_is_the_seeds(visitor, model)


def test_a_point_is_not_dragged_on_in_another_seed(visitor: Visitor, model: Model):
    x, y = visitor.press_handle()
    visitor.page.mouse.move(x + 40, y, steps=3)
    visitor.page.keyboard.press("n")
    visitor.page.mouse.move(x + 80, y, steps=3)
    visitor.page.mouse.up()
    visitor.rest()
    assert visitor.past() == 2  # how far it was dragged, and the new picture
    assert visitor.ask("store.past[1].document.layout") is not None
    assert visitor.ask("store.document.layout") is None
    assert_is_the_seeds(visitor, model)


def test_redo_takes_a_drag_back_first(visitor: Visitor):
    move(visitor, "ArrowUp", "ArrowUp")
    visitor.page.click("#undo")
    visitor.rest()
    centers = visitor.centers()
    x, y = visitor.press_handle()
    visitor.page.mouse.move(x + 60, y, steps=3)
    visitor.page.keyboard.press("Control+y")
    visitor.page.mouse.up()
    assert visitor.centers() == centers
    assert (visitor.past(), visitor.ask("store.future.length")) == (1, 1)
    visitor.page.keyboard.press("Control+y")
    assert (visitor.past(), visitor.ask("store.future.length")) == (2, 0)
    visitor.rest()


# ---- Play


def begin_to_play(visitor: Visitor) -> list[Any]:
    """Four states, and the first or second of them on display; the documents of all."""
    move(visitor, "ArrowUp", "ArrowUp", "ArrowUp")
    documents = visitor.ask("store.states.map(({ document }) => document)")
    visitor.page.click("#film-play")
    visitor.wait_for(lambda: visitor.past() in (0, 1))
    return documents


def test_play_is_stopped_by_its_button(visitor: Visitor):
    begin_to_play(visitor)
    assert visitor.page.inner_text("#film-play") == "Stop"
    visitor.page.click("#film-play")
    assert (visitor.past(), visitor.page.inner_text("#film-play")) == (3, "Play")
    visitor.page.wait_for_timeout(500)
    assert visitor.past() == 3
    visitor.page.keyboard.press("Enter")  # which has the focus
    assert visitor.page.inner_text("#film-play") == "Stop"
    visitor.page.keyboard.press("Enter")
    assert (visitor.past(), visitor.page.inner_text("#film-play")) == (3, "Play")
    visitor.rest()


@pytest.mark.parametrize("how", ["key", "drag", "new"])
def test_what_is_begun_while_it_plays_ends_no_state(visitor: Visitor, how: str):
    documents = begin_to_play(visitor)
    if how == "key":
        visitor.page.focus(HANDLE)
        visitor.page.keyboard.press("Shift+ArrowRight")
    elif how == "drag":
        x, y = visitor.press_handle()
        visitor.page.mouse.move(x + 30, y, steps=3)
        visitor.page.wait_for_timeout(800)  # two more states would have come
        visitor.page.mouse.move(x + 60, y, steps=3)
        visitor.page.mouse.up()
    else:
        visitor.page.click("#new")
    visitor.rest()
    assert visitor.past() == 4
    assert visitor.ask("store.states.map(({ document }) => document)")[:4] == documents
    visitor.page.wait_for_timeout(500)
    assert visitor.past() == 4


# ---- the gallery


def shown(visitor: Visitor, number: int) -> np.ndarray:
    """uint8 [R, R, 3]: the picture of an entry."""
    entry = PICTURE.replace("#picture", f"#gallery button:nth-child({number}) canvas")
    found = visitor.page.evaluate(entry)
    return np.array(found["data"], np.uint8).reshape(found["side"], found["side"], 4)[..., :3]


def open_gallery(visitor: Visitor) -> None:
    """With a point to pull and random noise in the session."""
    visitor.page.select_option("#noise", "random")
    visitor.page.click("#new-noise")
    visitor.page.click("#tab-pull")
    visitor.pull((-0.3, 0), (0.3, 0))
    visitor.page.click("#tab-gallery")
    visitor.wait_for(lambda: len(shown(visitor, 2)) == 32)


def test_another_latent_comes_with_the_layout_of_today(visitor: Visitor):
    open_gallery(visitor)
    before = shown(visitor, 2)
    move(visitor, "Shift+ArrowUp")
    centers, past = visitor.centers(), visitor.past()
    visitor.wait_for(lambda: np.abs(shown(visitor, 2).astype(int) - before).max() > 10)  # it follows
    picture = shown(visitor, 2)
    visitor.page.locator("#gallery button").nth(1).click()
    visitor.wait_for(lambda: visitor.shows(picture))
    document = visitor.ask("store.document")
    assert (document["seed"], document["noise_seed"], document["w"]) == (2, None, None)
    assert document["drag"] == {"points": [], "mask": None}
    assert visitor.centers() == centers
    assert visitor.past() == past + 1
    visitor.rest()


def test_another_layout_comes_with_the_latent_of_today(visitor: Visitor, model: Model):
    open_gallery(visitor)
    visitor.page.click("[data-gallery=layouts]")
    visitor.wait_for(lambda: visitor.ask("gallery.entries[1].layout") is not None)
    visitor.page.fill("#seed", "5")
    visitor.page.keyboard.press("Enter")
    visitor.rest()
    visitor.page.locator("#gallery button").nth(1).click()
    visitor.rest()
    assert visitor.ask("store.document.seed") == 5
    assert visitor.ask("store.document.drag.points") == []
    for ours, theirs in zip(visitor.centers(), layout_of_seed(model, 2), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    unlike = render(model, Document(seed=5, layout=None)).image
    assert not visitor.shows(unlike)


# ---- what a state is compared with


LEAVE_AT_ONCE = f"""() => {{
  const {{ backend, store, picture }} = {PAGE};
  globalThis.came = false;
  let isLeft = false;
  backend.addEventListener("picture", ({{ detail }}) => {{
    if (detail.slot === "original") globalThis.came = true;
    if (isLeft || detail.slot !== "main" || detail.id !== picture.wantedId) return;
    isLeft = true;
    store.undo();
  }});
}}"""


def test_an_original_that_came_too_late_is_asked_for_again(visitor: Visitor, model: Model):
    """A state is left as soon as it is there, and come back to when its original has come and gone."""
    visitor.wait_for(lambda: visitor.ask("picture.original") is not None)
    visitor.page.evaluate(LEAVE_AT_ONCE)
    visitor.page.click("#new")
    visitor.wait_for(lambda: visitor.page.evaluate("globalThis.came"))
    assert visitor.past() == 0
    visitor.page.click("#redo")
    visitor.rest()
    visitor.wait_for(lambda: visitor.ask("picture.original") is not None)
    theirs = np.array(visitor.ask("picture.original.data.reduce((all, value) => (all.push(value), all), [])"), int)
    wanted = render(model, Document(seed=visitor.ask("store.document.seed"))).image
    assert np.abs(theirs.reshape(*wanted.shape[:2], 4)[..., :3] - wanted).max() <= 1
