"""Key points dragged by a fitted field: which are meant, where they end, and what an editor says of it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dnnlib.errors import UserError
from editing.document import Document, DragPoint, Mask, to_json
from editing.latent.auxiliary import MappingOptions
from editing.latent.field_files import About, save_field
from editing.latent.interface import draw_pairs
from editing.latent.key_points import KeyPointField, KeyPoints, followed
from editing.latent.sgf import Sgf, SgfOptions
from editing.latent.space import ModelSubject, Space
from editing.registration import pixel_size, registration_of_model
from editing.rendering import render
from editing.server.engine import Engine
from tests.editing.server.running import Page, Running, open_page, running_server
from tests.tiny_models import save_tiny_snapshot, tiny_model
from training.latent.directions import Directions, save_directions
from training.sampling import Model

SMALL = MappingOptions(layers=2, features=64, steps=400, batch=128)
NAMES = ("red", "eye0_x", "mouth_x", "eye0_y", "mouth_y", "legs_x")


class Means:
    """Places that follow from the means of a picture's channels and halves."""

    names = NAMES

    def __call__(self, images: Tensor) -> Tensor:
        upper, lower = (half.mean((2, 3)) for half in images.chunk(2, 2))
        return torch.stack([upper[:, 2], upper[:, 0], lower[:, 0], upper[:, 1], lower[:, 1], lower[:, 2]], 1)


@pytest.fixture(autouse=True)
def condition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("editing.latent.manipulation.make_condition", lambda words, example: Means())


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def fitted(model: Model, path: Path, space: Space = "w", names: tuple[str, ...] = NAMES) -> str:
    subject = ModelSubject(model, Means(), space)
    field = Sgf.fit(subject, draw_pairs(subject, 400), SgfOptions(mapping=SMALL))
    return str(save_field(path, field, About(names, ("points:faces",), space, None, "tiny")))


@pytest.fixture(scope="module")
def path(model: Model, tmp_path_factory: pytest.TempPathFactory) -> str:
    return fitted(model, tmp_path_factory.mktemp("field") / "means.safetensors")


def measured(model: Model, ws: Tensor, scale: float) -> dict[str, list[float]]:
    found = dict(zip(NAMES, Means()(model.images(ws=ws, layout=model.layout([3])))[0].tolist(), strict=True))
    return {name: [found[f"{name}_x"] * scale, found[f"{name}_y"] * scale] for name in ("eye0", "mouth")}


def test_pairs_of_names_are_key_points(model: Model):
    points = KeyPoints.of(NAMES, model)
    assert points.names == ("eye0", "mouth")
    assert points.entries == ((1, 3), (2, 4))
    places = points.places(torch.tensor([[9.0, 0.1, 0.2, 0.3, 0.4, 9.0]]))
    torch.testing.assert_close(places, torch.tensor([[[0.1, 0.3], [0.2, 0.4]]]) * points.scale)
    wishes = points.wishes({1: (0.5, -0.5)})
    assert wishes == pytest.approx({2: 0.5 / points.scale, 4: -0.5 / points.scale})


def test_places_are_in_the_registration_of_the_model(model: Model):
    side = model.config.generator.img_resolution
    assert KeyPoints.of(NAMES, model).scale == pytest.approx(
        pixel_size(side, registration_of_model(model)) * (side - 1) / 2
    )
    without = tiny_model("stylegan2")
    assert KeyPoints.of(NAMES, without).scale == 1


def test_a_key_point_goes_to_where_it_is_pulled(model: Model, path: str):
    field, ws, layout = KeyPointField(path, model), model.styles([3]), model.layout([3])
    scale, pixel = field.points.scale, pixel_size(model.config.generator.img_resolution, registration_of_model(model))
    start, goal = measured(model, ws, scale)["eye0"], measured(model, model.styles([8]), scale)["eye0"]
    beside = (start[0] + 0.01, start[1])
    first, *others, last = field.drag(ws, layout, [(beside, (goal[0], goal[1]))])
    assert (first.step, first.done) == (0, False)
    assert first.points == [pytest.approx(start, abs=1e-5)]
    assert torch.equal(first.ws, ws)
    assert last.done
    assert last.reason in ("reached", "no progress for 20 steps", "step limit")
    assert last.distances[0] == pytest.approx(min(step.distances[0] for step in (first, *others)), abs=0.5)
    assert last.distances[0] < first.distances[0]
    torch.testing.assert_close(last.image, model.images(ws=last.ws, layout=layout))
    end = measured(model, last.ws, scale)["eye0"]
    assert last.points == [pytest.approx(end, abs=1e-5)]
    assert last.distances[0] == pytest.approx(np.hypot(end[0] - goal[0], end[1] - goal[1]) / pixel, abs=1e-3)


def test_others_go_along_as_among_random_pictures(generator):
    a, b = torch.randn([2, 2000], generator=generator())
    conditions = torch.stack([a, 0.5 * a + 0.1 * b, b, a], 1)
    found = followed(conditions, {0: 1.0}, [1, 2, 3])
    assert found == pytest.approx({1: 0.5, 2: 0.0, 3: 1.0}, abs=0.06)
    found = followed(conditions, {0: 1.0, 2: -2.0}, [1])
    assert found == pytest.approx({1: 0.3}, abs=0.01)
    both = followed(conditions, {0: 1.0, 3: 1.0}, [1])  # which are the same: nothing is counted twice
    assert both == pytest.approx({1: 0.5}, abs=0.06)


def test_one_that_cannot_be_reached_ends_with_the_nearest(model: Model, path: str):
    field, layout = KeyPointField(path, model), model.layout([3])
    *steps, last = field.drag(model.styles([3]), layout, [((0.0, 0.0), (1.0, -1.0))], max_steps=5)
    assert last.reason == "step limit"
    assert last.step == steps[-1].step == 5
    ends = [step.ws for step in steps if torch.equal(step.ws, last.ws)]
    assert len(ends) == 1


@pytest.mark.parametrize("points, words", [
    ([], "0 points to drag"),
    ([((0.0, 0.0), (2.0, 0.0))], r"point 0 at \(2, 0\) is outside"),
    ([((0.0, 0.0), (0.5, 0.0)), ((0.0, 0.0), (0.0, 0.5))], "two points pull at the key point"),
])  # fmt: skip
def test_points_that_it_cannot_pull_are_refused(model: Model, path: str, points: list, words: str):
    with pytest.raises(UserError, match=words):
        KeyPointField(path, model).drag(model.styles([3]), model.layout([3]), points)


def test_fields_that_move_no_key_points_are_refused(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match="a field in z; points are dragged by styles and layout"):
        KeyPointField(fitted(model, tmp_path / "z.safetensors", "z"), model)
    others = fitted(model, tmp_path / "others.safetensors", names=("a", "b", "c", "d", "e", "f"))
    with pytest.raises(UserError, match="a field of a, b, c, d, e, f, none of which is a key point; fit one"):
        KeyPointField(others, model)
    monkeypatch.setattr(Means, "names", (*NAMES[:-1], "legs_y"))
    with pytest.raises(UserError, match=r"a field of red, .*, not of red, .*legs_y"):
        KeyPointField(fitted(model, tmp_path / "a.safetensors"), model)


# ---- in the editor


@pytest.fixture(scope="module")
def server(model: Model, path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("editor")
    vectors = torch.eye(model.G.w_shape[-1])[:2]
    ways = save_directions(folder / "two.safetensors", Directions(vectors, torch.ones(2), "test", ("a", "b")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("editing.latent.manipulation.make_condition", lambda words, example: Means())
        network = str(save_tiny_snapshot(folder))
        with running_server(lambda: Engine(network, "cpu", [path, str(ways)])) as found:
            yield found


def ask(page: Page, document: Document, **options: object) -> None:
    page.send("drag", 5, document=to_json(document), options=options)


def test_an_editor_says_which_fields_it_has_and_where_key_points_are(server: Running):
    with open_page(server, wait=False) as page:
        about = page.wait_for("hello")[0]["model"]
        assert about["fields"] == [{"file": "means", "points": ["eye0", "mouth"]}]
        assert [each["file"] for each in about["directions"]] == ["two"]
        page.render(Document(seed=3))
        places = page.wait_for("picture")[0]["key_points"]["means"]
        page.render(Document(seed=3), slot="gallery1")
        assert "key_points" not in page.wait_for("picture")[0]
    model = server.editor.engine.model
    scale = KeyPoints.of(NAMES, model).scale
    expected = measured(model, model.styles([3]), scale)
    np.testing.assert_allclose(places, [expected["eye0"], expected["mouth"]], atol=1e-5)


def test_a_page_drags_by_a_field(server: Running):
    document = Document(seed=3, points=(DragPoint((0.0, 0.0), (0.3, 0.1)),))
    with open_page(server) as page:
        ask(page, document, field="means", max_steps=4)
        last = page.wait_for("drag", done=True)[0]
    assert last["reason"] in ("reached", "step limit")
    model = server.editor.engine.model
    field = server.editor.engine.fields["means"]
    picture = render(model, replace(document, w=last["w"], layout=last["layout"]))
    np.testing.assert_allclose(
        [place for place in field.places(picture.images) if place == pytest.approx(last["points"][0], abs=1e-4)],
        last["points"],
        atol=1e-4,
    )


@pytest.mark.parametrize("options, mask, words", [
    ({"field": "mean"}, None, "options.field: this editor was given no field 'mean'; did you mean 'means'"),
    ({"field": "/etc/passwd"}, None, "this editor was given no field '/etc/passwd'"),
    ({"field": "means", "lr": 0.1}, None, "options.lr: with a field, only max_steps can be chosen"),
    ({"field": "means"}, Mask((0.0, 0.0, 0.5)), "a field changes all of the picture"),
    ({"field": 3}, None, "options.field: a text is needed, not a number"),
])  # fmt: skip
def test_what_no_field_can_do_is_refused(server: Running, options: dict, mask: Mask | None, words: str):
    document = Document(seed=3, points=(DragPoint((0.0, 0.0), (0.3, 0.1)),), mask=mask)
    with open_page(server) as page:
        ask(page, document, **options)
        assert words in page.wait_for("error")[0]["message"]


def test_two_fields_of_one_name_are_refused(tmp_path: Path, path: str):
    (tmp_path / "means.safetensors").write_bytes(Path(path).read_bytes())
    with pytest.raises(UserError, match="a file called 'means' already"):
        Engine(str(save_tiny_snapshot(tmp_path)), "cpu", [path, str(tmp_path / "means.safetensors")])
