"""The server with a tiny model: pictures, the newest first, two pages, errors, films, uploads."""

import base64
import io
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dnnlib.errors import UserError
from editing.document import Document, DragPoint, Mask, encode_array
from editing.film import film_frames
from editing.rendering import render
from editing.server import session
from editing.server.engine import Engine
from editing.server.launch import open_port, serve
from tests.editing.server.running import Running, open_page, running_server
from tests.tiny_models import save_tiny_snapshot, tiny_model
from tests.training.networks.lineage import conditioned_config, discriminator, generator
from tests.training.saved import save_snapshot


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Running:
    with running_server(save_tiny_snapshot(tmp_path_factory.mktemp("run"))) as running:
        yield running


def pixels(header, parts, name="picture") -> np.ndarray:
    about = next(part for part in header["parts"] if part["name"] == name)
    return np.frombuffer(parts[name], np.uint8).reshape(about["height"], about["width"], about["channels"])


def test_a_page_is_told_what_the_model_is(server: Running):
    with open_page(server, wait=False) as page:
        model = page.wait_for("hello")[0]["model"]
    assert model["counts"] == [1, 2, 4]
    assert model["resolution"] == 16
    assert model["attention"] == [8, 4]
    assert model["objects"] == 0
    assert model["w_shape"] == list(server.editor.engine.model.G.w_shape)
    assert model["moves_centers"] is True


def test_a_picture_is_that_of_render(server: Running):
    document = Document(seed=7, truncation_psi=0.5)
    with open_page(server) as page:
        page.render(document, id=11)
        header, parts = page.wait_for("picture")
    expected = render(server.editor.engine.model, document)
    assert (header["id"], header["slot"]) == (11, "main")
    assert header["layout"] == expected.layout_json()
    np.testing.assert_array_equal(pixels(header, parts), expected.image)


def test_of_many_requests_the_newest_is_answered(server: Running):
    with open_page(server) as page:
        for number in range(200):
            page.render(Document(seed=number), id=number)
        shown = []
        while not shown or shown[-1] < 199:
            shown.append(page.wait_for("picture")[0]["id"])
    assert shown == sorted(shown)
    assert len(shown) < 200


def test_two_pages_do_not_disturb_each_other(server: Running):
    """One moves all the time; each gets its own pictures, with its own numbers."""
    enough = threading.Event()

    def move() -> None:
        with open_page(server) as page:
            number = 1000
            while not enough.is_set():
                page.render(Document(seed=number % 50), id=number)
                assert page.wait_for("picture")[0]["id"] == number
                number += 1

    other = threading.Thread(target=move, daemon=True)
    with open_page(server) as page:
        other.start()
        for number in range(1, 15):
            page.render(Document(seed=number), id=number)
            header, parts = page.wait_for("picture")
            assert header["id"] == number
            expected = render(server.editor.engine.model, Document(seed=number)).image
            np.testing.assert_array_equal(pixels(header, parts), expected)
        enough.set()
    other.join(30)
    assert not other.is_alive()


def test_a_long_message_of_one_page_does_not_keep_another_waiting(server: Running, monkeypatch: pytest.MonkeyPatch):
    is_being_read, may_go_on, parse = threading.Event(), threading.Event(), session.parse

    def slowly(text: str):
        if len(text) > session.LONG_TEXT:
            is_being_read.set()
            assert may_go_on.wait(60)
        return parse(text)

    monkeypatch.setattr(session, "parse", slowly)
    with open_page(server) as page, open_page(server) as other:
        page.render(Document(network="x" * session.LONG_TEXT), id=5)
        assert is_being_read.wait(60)
        other.render(id=6)
        assert other.wait_for("picture")[0]["id"] == 6
        may_go_on.set()
        assert page.wait_for("error")[0]["id"] == 5  # the name is too long


@pytest.mark.parametrize("kind, resolution", [("attention", 8), ("features", 16)])
def test_overlays_are_scaled_to_their_range(server: Running, kind: str, resolution: int):
    with open_page(server) as page:
        page.render(Document(seed=3), overlay={"kind": kind, "resolution": resolution})
        overlay = pixels(*page.wait_for("picture"), "overlay")
        page.render(Document(seed=3), overlay={"kind": kind, "resolution": 512})
        assert f"no {kind} at 512; there is" in page.wait_for("error")[0]["message"]
    assert overlay.shape == (resolution, resolution, 1)
    assert (overlay.min(), overlay.max()) == (0, 255)


def test_what_does_not_fit_the_model_is_said(server: Running):
    with open_page(server) as page:
        page.render(Document(w=encode_array(np.zeros([1, 2, 3]))), id=5)
        header, _ = page.wait_for("error")
        assert (header["id"], header["slot"]) == (5, "main")
        assert header["message"].startswith("ws must have the shape")
        page.socket.send("nonsense")
        assert "not valid JSON" in page.wait_for("error", id=None)[0]["message"]
        page.render(id=6)
        assert page.wait_for("picture")[0]["id"] == 6


def test_a_film_is_a_gif_of_all_frames(server: Running):
    with open_page(server) as page:
        for marks in (False, True):
            documents = [Document(seed=1), Document(seed=2), Document(seed=2, truncation_psi=0)]
            from editing.document import to_json

            page.send("film", documents=list(map(to_json, documents)), suffix=".gif", frames=3, marks=marks)
            header, parts = page.wait_for("film")
            assert header["suffix"] == ".gif"
            film = Image.open(io.BytesIO(parts["file"]))
            assert (film.n_frames, film.size) == (7, (256, 256))


def test_a_film_of_more_pixels_than_memory_may_hold_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("editing.film.MOST_PIXELS", 4 * 256**2)
    model = tiny_model()
    assert len(list(film_frames(model, [Document(), Document(seed=1)], 3, False))) == 4
    with pytest.raises(UserError, match="a film of 5 frames of 256x256 is too long; 4 are the most"):
        next(film_frames(model, [Document(), Document(seed=1)], 4, False))


@pytest.mark.parametrize("backbone", ["spade", "stackgan"])
def test_models_that_the_page_has_no_conditions_for_are_refused(backbone: str, tmp_path: Path):
    config = conditioned_config(backbone)
    networks = {"G_ema": generator(config), "D": discriminator(config)}
    save_snapshot(tmp_path / "net.safetensors", config, 1.0, networks)
    with pytest.raises(UserError, match=r"use generate\.py with --label-map or --text"):
        Engine(str(tmp_path / "net.safetensors"), "cpu")


def test_a_film_that_is_stopped_ends_there(server: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from editing.document import to_json

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with open_page(server) as page:
        plain = to_json(Document(seed=1))
        page.send("film", id=5, documents=[plain] * 10, suffix=".gif", frames=120)
        assert page.wait_for("progress")[0]["total"] == 9 * 120 + 1
        assert len(list(tmp_path.iterdir())) == 1
        page.send("stop", id=6)
        page.wait_for("stopped", id=6)
        page.render(id=7)
        page.wait_for("picture", id=7)
        assert list(tmp_path.iterdir()) == []  # nor are there files
        page.send("film", id=8, documents=[plain] * 2, suffix=".gif", frames=2)
        assert page.wait_for("film")[0]["id"] == 8


def test_a_mask_that_lets_nothing_change_is_said(server: Running):
    from editing.document import to_json

    stream = io.BytesIO()
    Image.new("L", (16, 16)).save(stream, "PNG")
    mask = Mask(png=base64.b64encode(stream.getvalue()).decode())
    document = to_json(Document(points=(DragPoint((0, 0), (0.2, 0)),), mask=mask))
    with open_page(server) as page:
        page.send("drag", document=document, options={"max_steps": 1})
        assert page.wait_for("error")[0]["message"].startswith("nothing may change yet: paint")


def test_an_upload_is_needed_before_it_can_be_found(server: Running):
    from editing.document import to_json

    with open_page(server) as page:
        page.send("invert", document=to_json(Document()))
        assert "choose one first" in page.wait_for("error")[0]["message"]
        page.socket.send(b"no picture")
        page.send("invert", document=to_json(Document()))
        message = page.wait_for("error")[0]["message"]
        assert "this is no picture that can be read" in message or "editing.inversion" in message


def test_a_model_that_does_not_load_is_said(tmp_path, capsys):
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with running_server(tmp_path / "broken.safetensors") as server, open_page(server, wait=False) as page:
        message = page.wait_for("failed")[0]["message"]
        assert "broken.safetensors" in message
        assert capsys.readouterr().err == f"the model could not be opened: {message}\n"
        page.render()
        assert "still being loaded" in page.wait_for("error")[0]["message"]


def test_pages_come_before_the_model(tmp_path):
    """The port answers while the model is read, and the page is told when it is there."""
    snapshot, gate = save_tiny_snapshot(tmp_path), threading.Event()

    def open_engine():
        from editing.server.engine import Engine

        assert gate.wait(60)
        return Engine(str(snapshot), "cpu")

    with running_server(open_engine) as server, open_page(server, wait=False) as page:
        assert page.next()[0] == {"type": "loading"}
        gate.set()
        assert page.wait_for("hello")[0]["model"]["name"] == "small"


def test_a_taken_port_is_one_line():
    taken = open_port("127.0.0.1", 0)
    with taken, pytest.raises(UserError, match="choose another --port"):
        open_port("127.0.0.1", taken.getsockname()[1])


def test_other_hosts_need_a_password():
    with pytest.raises(UserError, match="give a --password"):
        serve(lambda: None, host="0.0.0.0", browser=False)
