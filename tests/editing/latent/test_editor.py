"""Directions in the editor: documents name files that it was started with, and nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dnnlib.errors import UserError
from editing.document import Direction, Document, encode_array
from editing.film import film_frames
from editing.latent.registry import known_directions
from editing.latent.sefa import sefa
from editing.rendering import render, styles_of
from editing.server.engine import Engine
from tests.editing.server.running import open_page, running_server
from tests.tiny_models import save_tiny_snapshot, tiny_model
from training.latent.directions import Directions, save_directions
from training.sampling import Model


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture(scope="module")
def known(model: Model) -> dict[str, Directions]:
    return {"sefa": sefa(model, 4), "coarse": sefa(model, 2, (0, 1))}


def test_steps_of_a_document_are_applied_in_turn(model: Model, known: dict[str, Directions]):
    steps = (Direction("sefa", 2, 1.5), Direction("coarse", 0, -2.0))
    ws = known["coarse"].moved(known["sefa"].moved(model.styles([3]), 2, 1.5), 0, -2.0)
    document = Document(seed=3, directions=steps)
    assert torch.equal(styles_of(model, document, None, known), ws)
    rendering = render(model, document, directions=known)
    expected = render(model, Document(seed=3, w=encode_array(ws.numpy())))
    np.testing.assert_array_equal(rendering.image, expected.image)
    assert not np.array_equal(rendering.image, render(model, Document(seed=3)).image)


def test_films_go_along_directions(model: Model, known: dict[str, Directions]):
    document = Document(seed=3, directions=(Direction("sefa", 0, 3.0),))
    first, *_, last = film_frames(model, [Document(seed=3), document], 2, False, known)
    ends = [film_frames(model, [each, each], 1, False, known) for each in (Document(seed=3), document)]
    np.testing.assert_array_equal(first, next(ends[0]))
    np.testing.assert_array_equal(last, next(ends[1]))
    assert not np.array_equal(first, last)


@pytest.mark.parametrize("step, words", [
    (Direction("sefo"), r"directions\[0\].file: no directions 'sefo' here; did you mean 'sefa'"),
    (Direction("/etc/passwd"), "no directions '/etc/passwd' here"),
    (Direction("sefa", 4), r"directions\[0\].index: 'sefa' has 4 directions; there is no 4"),
])  # fmt: skip
def test_directions_that_it_has_not_are_refused(
    model: Model, known: dict[str, Directions], step: Direction, words: str
):
    with pytest.raises(UserError, match=words):
        render(model, Document(directions=(step,)), directions=known)


def test_files_are_called_by_their_stems(tmp_path: Path, model: Model, known: dict[str, Directions]):
    paths = [str(save_directions(tmp_path / f"{name}.safetensors", each)) for name, each in known.items()]
    found = known_directions(paths, model)
    assert {name: len(each) for name, each in found.items()} == {"sefa": 4, "coarse": 2}
    (tmp_path / "b").mkdir()
    again = save_directions(tmp_path / "b" / "sefa.safetensors", known["sefa"])
    with pytest.raises(UserError, match="a file called 'sefa' already"):
        known_directions([*paths, str(again)], model)
    wider = replace(known["sefa"], vectors=torch.eye(9)[:4])
    with pytest.raises(UserError, match="this model's styles have 8"):
        known_directions([str(save_directions(tmp_path / "c.safetensors", wider))], model)


def test_a_server_says_what_it_has_and_renders_it(tmp_path: Path, known: dict[str, Directions]):
    network = save_tiny_snapshot(tmp_path)
    path = str(save_directions(tmp_path / "sefa.safetensors", known["sefa"]))
    with running_server(lambda: Engine(str(network), "cpu", [path])) as server:
        with open_page(server, wait=False) as page:
            about = page.wait_for("hello")[0]["model"]["directions"]
            page.render(Document(seed=3, directions=(Direction("sefa", 1, 2.0),)))
            parts = page.wait_for("picture")[1]
            page.render(Document(directions=(Direction(path, 1, 2.0),)))
            assert "no directions" in page.wait_for("error")[0]["message"]
        model = server.editor.engine.model
    names = ["sefa0", "sefa1", "sefa2", "sefa3"]
    assert about == [{"file": "sefa", "method": "sefa", "count": 4, "names": names, "layers": None, "part": "all"}]
    expected = render(model, Document(seed=3, directions=(Direction("sefa", 1, 2.0),)), directions=known)
    assert parts["picture"] == expected.image.tobytes()
