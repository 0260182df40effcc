"""Sliders for directions in the latent space, in a real browser."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from editing.document import from_json
from editing.rendering import render
from editing.server.engine import Engine
from tests.editing.browser.visitor import MARKS, MODEL, Visitor, visiting
from tests.editing.server.running import running_server
from training.latent.directions import Directions, save_directions

pytestmark = MARKS


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    """The shipped model with two directions in a file."""
    path = tmp_path_factory.mktemp("directions") / "two.safetensors"
    width = Engine(str(MODEL), "cpu").model.G.w_shape[-1]
    vectors = torch.nn.functional.normalize(torch.randn([2, width], generator=torch.Generator().manual_seed(0)))
    save_directions(path, Directions(vectors, torch.ones(2), "test", ("darker", "rounder")))
    return Engine(str(MODEL), "cpu", [str(path)])


@pytest.fixture
def guided(browser: Any, engine: Engine) -> Iterator[Visitor]:
    with running_server(lambda: engine) as server, visiting(browser, server.url) as visitor:
        yield visitor


def test_a_slider_goes_along_a_direction_and_shows_where_it_leads(guided: Visitor, engine: Engine):
    picture = guided.picture()
    guided.page.select_option("#direction-add", label="two: rounder")
    slider = guided.page.get_by_role("slider", name="two: rounder")
    slider.fill("2.5")
    guided.wait_for(lambda: guided.shows_another(picture))
    assert guided.ask("store.document.directions") == [{"file": "two", "index": 1, "strength": 2.5}]
    document = from_json(guided.ask("store.toJSON()"))
    expected = render(engine.model, document, directions=engine.directions).image
    assert np.abs(expected.astype(int) - guided.picture()).max() <= 1
    sizes = "Array.from(document.querySelectorAll('#direction-previews canvas'), ({ width }) => width)"
    guided.wait_for(lambda: guided.page.evaluate(sizes) == [32] * 3)
    guided.page.get_by_role("button", name="Remove two: rounder").click()
    guided.wait_for(lambda: guided.shows(picture))
    for _ in range(3):
        guided.page.click("#undo")
    guided.rest()
    assert guided.past() == 0
    assert guided.shows(picture)


def test_an_editor_without_directions_shows_none(visitor: Visitor):
    assert not visitor.page.locator("#directions").is_visible()
