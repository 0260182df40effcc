"""An exported page in a real browser: the generator runs in it, with the network off, and makes the model's pictures.

Needs onnxruntime-web from npm's registry, or of an earlier export in the cache.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnnlib.errors import UserError
from editing.document import Document, encode_array, to_json
from editing.rendering import render
from editing.static_page import export_page
from tests.editing.browser.visitor import MARKS, MODEL, PAGE, Visitor, png, visiting
from tests.optional import is_installed
from tests.tiny_models import save_tiny_snapshot
from training.sampling import Model

HAS_ONNX = all(map(is_installed, ("onnx", "onnxscript", "onnxruntime")))
pytestmark = [*MARKS, pytest.mark.skipif(not HAS_ONNX, reason="needs the extra export")]

# What the page's back end makes of documents, one after the other.
RENDERED = f"""async (documents) => {{
  const {{ backend }} = {PAGE};
  const made = [];
  for (const document of documents) {{
    made.push(await new Promise((resolve, reject) => {{
      let id = 0;
      const listen = ({{ detail }}) => detail.id === id && resolve(Array.from(detail.picture.data));
      backend.addEventListener("picture", listen);
      backend.addEventListener("error", ({{ detail }}) => detail.id === id && reject(new Error(detail.message)));
      id = backend.render(document, {{ slot: "gallery999" }});
    }}));
  }}
  return made;
}}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """A function: the address of an exported model."""
    servers = []

    def make(network: Path) -> str:
        folder = tmp_path_factory.mktemp("site") / "page"
        try:
            export_page(str(network), folder)
        except UserError as error:
            if "cannot download" in str(error):
                pytest.skip(f"needs onnxruntime-web: {error}")
            raise
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/"

    yield make
    for server in servers:
        server.shutdown()


@pytest.fixture(scope="module")
def address(export) -> str:
    return export(MODEL)


@pytest.fixture
def offline(browser: Any, address: str) -> Iterator[Visitor]:
    """The page of the shipped model after the network has gone."""
    with visiting(browser, address) as visitor:
        visitor.page.context.set_offline(True)
        yield visitor


def test_a_drag_changes_picture_and_heatmaps_and_is_undone(offline: Visitor):
    picture, heatmaps, centers = offline.picture(), offline.heatmaps(), offline.centers()
    x, y = offline.press_handle()
    offline.page.mouse.move(x + 70, y + 20, steps=8)
    offline.page.mouse.up()
    offline.wait_for(lambda: offline.shows_another(picture))
    assert all(new != old for new, old in zip(offline.heatmaps(), heatmaps, strict=True))
    offset = np.subtract(offline.centers()[0][0], centers[0][0])
    assert np.hypot(*offset) > 0.15
    for before, after in zip(centers, offline.centers(), strict=True):
        np.testing.assert_allclose(np.subtract(after, before), np.broadcast_to(offset, np.shape(before)), atol=1e-6)
    assert offline.past() == 1
    offline.page.keyboard.press("Control+z")
    offline.wait_for(lambda: offline.shows(picture))


def test_pictures_are_the_models(offline: Visitor):
    """20 layouts, moved; truncated ones, a cutoff, and styles that were found elsewhere among them."""
    model = Model.load(MODEL, "cpu")
    documents = []
    for seed in range(20):
        base = Document(seed=seed, truncation_psi=0.6 if seed % 3 == 0 else 1.0)
        base = replace(base, truncation_cutoff=2 if seed == 3 else None)
        layout = render(model, base).layout_json()
        for level in layout["levels"]:
            level["centers"] = [[x * 0.8 + 0.02 * seed - 0.2, y * 0.8 + 0.1] for x, y in level["centers"]]
            level["strengths"] = [1 - 0.04 * seed] * len(level["spreads"])
        documents.append(replace(base, layout=layout))
    ws = model.styles([77]).numpy()
    documents[5] = replace(documents[5], w=encode_array(ws))
    made = offline.page.evaluate(RENDERED, list(map(to_json, documents)))
    for document, pixels in zip(documents, made, strict=True):
        expected = render(model, document).image
        assert np.abs(np.array(pixels).reshape(expected.shape) - expected.astype(int)).max() <= 1


def test_a_scene_of_several_objects(browser: Any, export, tmp_path: Path):
    snapshot = save_tiny_snapshot(tmp_path, "spatialgan-indoor")
    model = Model.load(snapshot, "cpu")
    seeds = [None] * model.config.generator.latent_shape[0]
    documents = [Document(seed=1), Document(seed=1, object_seeds=(9, *seeds[1:]))]
    documents.append(Document(seed=2, object_seeds=((1, 1), *seeds[1:-1], 5)))
    with visiting(browser, export(snapshot)) as visitor:
        visitor.page.context.set_offline(True)
        made = visitor.page.evaluate(RENDERED, list(map(to_json, documents)))
        for document, pixels in zip(documents, made, strict=True):
            expected = render(model, document).image
            assert np.abs(np.array(pixels).reshape(expected.shape) - expected.astype(int)).max() <= 1
        picture = visitor.picture()
        visitor.page.get_by_role("button", name="Remove").first.click()
        visitor.wait_for(lambda: visitor.shows_another(picture))


def test_what_it_cannot_do_is_greyed_out_and_said(offline: Visitor):
    for name in ("tab-pull", "tab-photo", "look", "film-gif", "film-mp4"):
        assert offline.page.locator(f"#{name}").is_disabled(), name
    assert "editor itself" in offline.page.get_attribute("#tab-pull", "title")
    assert "WebAssembly" in offline.page.get_attribute("#status", "title")
    offline.page.fill("#seed", "256")
    offline.page.keyboard.press("Enter")
    offline.wait_for(lambda: "from 0 to 255" in offline.page.inner_text("#toasts"))
    assert offline.ask("store.document.seed") == 0
    session = {**to_json(Document(seed=300)), "layout": None}
    offline.open("session.json", json.dumps(session).encode())
    offline.wait_for(lambda: "seed: a whole number from 0 to 255" in offline.page.inner_text("#toasts"))
    offline.open("photo.png", png(np.zeros([40, 40, 3], np.uint8)))
    offline.wait_for(lambda: "This page cannot search" in offline.page.inner_text("#toasts"))
    assert not offline.page.locator("#pane-photo").is_visible()
    random = {**to_json(Document(seed=3, noise_mode="random")), "layout": None}
    offline.open("random.json", json.dumps(random).encode())
    offline.wait_for(lambda: "the model's own noise only" in offline.page.inner_text("#toasts"))
    assert offline.past() == 0


def test_a_session_is_saved_and_opened_again(offline: Visitor):
    offline.page.focus("#stage g.handle.level-0")
    offline.page.keyboard.press("Shift+ArrowDown")
    offline.rest()
    picture, data = offline.picture(), offline.save("png")
    offline.page.click("#new")
    offline.wait_for(lambda: offline.shows_another(picture))
    offline.open("picture.png", data)
    offline.wait_for(lambda: offline.shows(picture))
    offline.rest()
    assert offline.shows(picture)


def test_the_gallery_fills(offline: Visitor):
    offline.page.click("#tab-gallery")
    offline.wait_for(lambda: all(offline.ask("gallery.entries.map(({ canvas }) => canvas.width === 32)")))
    offline.page.locator("#gallery button").nth(3).click()
    offline.rest()
    assert offline.ask("store.document.seed") == 4


def test_a_page_that_lacks_a_file_says_so(browser: Any, address: str):
    window = browser.new_context(bypass_csp=True)  # for what waits
    page = window.new_page()
    page.route("**/mapping.onnx", lambda route: route.fulfill(status=404))
    page.goto(address)
    page.wait_for_function("document.querySelector('#notice').textContent.includes('mapping.onnx')")
    assert "mapping.onnx is missing" in page.inner_text("#notice")
    window.close()
