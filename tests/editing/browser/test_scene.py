"""Scenes of several objects in a real browser: removed, brought back, restyled."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.editing.browser.visitor import MARKS, Visitor, visiting
from tests.editing.server.running import running_server
from tests.tiny_models import save_tiny_snapshot

pytestmark = MARKS


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    with running_server(save_tiny_snapshot(tmp_path_factory.mktemp("run"), "spatialgan-indoor")) as running:
        yield running.url


@pytest.fixture
def scene(browser: Any, address: str) -> Iterator[Visitor]:
    with visiting(browser, address) as visitor:
        yield visitor


def test_an_object_is_removed_and_brought_back(scene: Visitor):
    picture = scene.picture()
    scene.page.get_by_role("button", name="Remove").first.click()
    scene.wait_for(lambda: scene.shows_another(picture))
    assert scene.ask("store.layout.levels[0].strengths[0]") == 0
    assert scene.page.locator("#stage g.handle.removed").count() == 1
    scene.page.get_by_role("button", name="Bring back").click()
    scene.wait_for(lambda: scene.shows(picture))
    assert scene.past() == 2


def test_delete_and_r_do_the_same(scene: Visitor):
    picture = scene.picture()
    scene.page.focus("#stage g.handle[data-index='1']")
    scene.page.keyboard.press("Delete")
    scene.wait_for(lambda: scene.shows_another(picture))
    assert scene.ask("store.layout.levels[0].strengths[1]") == 0
    scene.page.keyboard.press("r")
    scene.wait_for(lambda: scene.shows(picture))


def test_an_object_goes_gradually(scene: Visitor):
    picture = scene.picture()
    scene.page.focus("#stage g.handle[data-index='0']")
    scene.page.locator("#strength-slider").fill("0.5")
    scene.wait_for(lambda: scene.shows_another(picture))
    assert scene.ask("store.layout.levels[0].strengths[0]") == 0.5
    assert scene.past() == 1


def test_styles_are_new_or_those_of_others(scene: Visitor):
    picture, layout = scene.picture(), scene.ask("store.layout")
    scene.page.get_by_role("button", name="New style").first.click()
    scene.wait_for(lambda: scene.shows_another(picture))
    restyled, seeds = scene.picture(), scene.ask("store.document.object_seeds")
    assert isinstance(seeds[0], int)
    assert seeds[1:] == [None] * (len(seeds) - 1)
    scene.page.get_by_role("button", name="New background").click()
    scene.wait_for(lambda: scene.shows_another(restyled))
    scene.page.get_by_label("Copy a style to object 2").select_option(label="of object 1")
    scene.rest()
    assert scene.ask("store.document.object_seeds[1]") == [seeds[0], 0]
    assert scene.ask("store.layout") == layout
    scene.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    assert f" --restyle=0:{seeds[0]} --restyle=1:{seeds[0]}:0 " in scene.copied("command")
    for _ in range(3):
        scene.page.click("#undo")
    scene.wait_for(lambda: scene.shows(picture))


def test_one_object_is_dragged_and_others_stay(scene: Visitor):
    before = scene.centers()[0]
    x, y = scene.press_handle()
    moved = scene.ask("selection.value.index")
    scene.page.mouse.move(x + 50, y - 40, steps=5)
    scene.page.mouse.up()
    scene.rest()
    after = scene.centers()[0]
    changed = [i for i, (old, new) in enumerate(zip(before, after, strict=True)) if not np.allclose(old, new)]
    assert changed == [moved]
