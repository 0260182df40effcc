"""Directions in the latent space as sliders, and key points dragged by a fitted field, in a real browser."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from editing.document import from_json
from editing.latent.auxiliary import MappingOptions
from editing.latent.conditions import make_condition
from editing.latent.field_files import About, save_field
from editing.latent.interface import draw_pairs
from editing.latent.sgf import Sgf, SgfOptions
from editing.latent.space import ModelSubject
from editing.rendering import render
from editing.server.engine import Engine
from tests.editing.browser.visitor import MARKS, MODEL, Visitor, visiting
from tests.editing.server.running import running_server
from training.latent.directions import Directions, save_directions
from training.sampling import Model

pytestmark = MARKS


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    """The shipped model with two directions in a file."""
    path = tmp_path_factory.mktemp("directions") / "two.safetensors"
    width = Engine(str(MODEL), "cpu").model.G.w_shape[-1]
    vectors = torch.nn.functional.normalize(torch.randn([2, width], generator=torch.Generator().manual_seed(0)))
    save_directions(path, Directions(vectors, torch.ones(2), "test", ("darker", "rounder")))
    return Engine(str(MODEL), "cpu", [str(path)])


@pytest.fixture(scope="module")
def pointed(tmp_path_factory) -> Engine:
    """The shipped model with a field of key points that has learnt for a moment."""
    path = tmp_path_factory.mktemp("field") / "parts.safetensors"
    model = Model.load(MODEL, "cpu")
    subject = ModelSubject(model, make_condition(["points:faces"], model.images([0])), "w+layout")
    options = SgfOptions(mapping=MappingOptions(layers=2, features=64, steps=400))
    field = Sgf.fit(subject, draw_pairs(subject, 500), options)
    save_field(path, field, About(subject.names, ("points:faces",), "w+layout", None, "faces32"))
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
    assert visitor.page.locator("#pull-mode option").count() == 3


def test_a_key_point_is_pulled_and_the_picture_follows_by_the_field(browser: Any, pointed: Engine):
    field = pointed.fields["parts"]
    with running_server(lambda: pointed) as server, visiting(browser, server.url) as visitor:
        page, picture = visitor.page, visitor.picture()
        page.click("#tab-pull")
        assert page.locator(".key-point").count() == 0
        page.select_option("#pull-mode", label="key points, by parts")
        assert page.locator(".key-point").count() == len(field.points.names)
        assert page.locator("[data-mask=brush]").is_disabled()
        number = field.points.names.index("mouth0")
        x, y = visitor.ask("pull.keyPoints.places.parts")[number]
        visitor.pull((x, y), (x, y - 0.15))
        said = page.locator("#pull-said")
        visitor.wait_for(lambda: "px from the target" in said.inner_text(), seconds=60)
        visitor.rest()
        ((moved,),) = [visitor.ask("store.document.drag.points")]
        assert moved["to"] == pytest.approx([x, y - 0.15], abs=0.02)
        document = from_json(visitor.ask("store.toJSON()"))
        rendering = render(pointed.model, document)
        assert np.abs(rendering.image.astype(int) - visitor.picture()).max() <= 1
        assert not visitor.shows(picture)
        place = field.places(rendering.images)[number]
        assert moved["from"] == pytest.approx(place, abs=1e-3)
        assert visitor.ask("pull.keyPoints.places.parts")[number] == pytest.approx(place, abs=1e-3)
        before, after = (abs(at - moved["to"][1]) for at in (y, place[1]))
        assert after < before
        page.select_option("#pull-mode", "latent")
        assert page.locator(".key-point").count() == 0
        assert page.locator("[data-mask=brush]").is_enabled()
        page.click("#undo")
        page.click("#undo")
        visitor.wait_for(lambda: visitor.shows(picture))
