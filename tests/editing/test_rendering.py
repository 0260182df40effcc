"""render(model, document): one function, pure, and the same pictures as generate.py and Model.images."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import generate
from dnnlib.errors import UserError
from editing.document import Document, encode_array
from editing.rendering import layout_of, render, styles_of
from tests.tiny_models import save_tiny_snapshot, tiny_generator, tiny_model
from tests.training.small import ENCODING, generator_config, run_config
from training.layouts.files import FORMAT, VERSION, layout_to_json
from training.pictures.grids import to_uint8
from training.sampling import Model


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture(scope="module")
def scene_model() -> Model:
    return tiny_model("spatialgan-indoor")


def pixels(images: torch.Tensor) -> np.ndarray:
    return to_uint8(images)[0].permute(1, 2, 0).numpy()


def test_a_plain_document_is_the_picture_of_its_seed(model: Model):
    rendering = render(model, Document(seed=7, truncation_psi=0.5))
    np.testing.assert_array_equal(rendering.image, pixels(model.images([7], truncation_psi=0.5)))
    assert rendering.layout_json() == layout_to_json(model.layout([7]))["layouts"][0]
    assert list(rendering.ws.shape) == [1, *model.G.w_shape]


def test_it_is_pure(model: Model):
    document = Document(seed=3, noise_mode="random", layout=render(model, Document(seed=4)).layout_json())
    first = render(model, document).image
    render(model, Document(seed=9, noise_mode="random"))
    np.testing.assert_array_equal(render(model, document).image, first)
    assert document == Document(seed=3, noise_mode="random", layout=document.layout)


def test_a_moved_layout_gives_the_picture_of_that_layout(model: Model):
    layout = model.layout([7]).moved(0, 0, 0.125, -0.25).with_strength(2, 1, 0.5)
    document = Document(seed=7, layout=layout_to_json(layout)["layouts"][0])
    np.testing.assert_array_equal(render(model, document).image, pixels(model.images([7], layout=layout)))
    assert not np.array_equal(render(model, document).image, render(model, Document(seed=7)).image)


def test_final_styles_take_the_place_of_seed_and_truncation(model: Model):
    ws = model.styles([5], truncation_psi=0.3)
    document = Document(seed=9, truncation_psi=0.9, layout=render(model, Document(seed=5)).layout_json())
    with_w = replace(document, w=encode_array(ws.numpy()))
    expected = pixels(model.images([5], truncation_psi=0.3))
    np.testing.assert_array_equal(render(model, with_w).image, expected)
    assert torch.equal(styles_of(model, with_w, None), ws)


def test_objects_have_the_codes_of_their_own_seeds(scene_model: Model):
    z = scene_model.latents([1])
    z[:, 2] = scene_model.latents([8])[:, 2]
    document = Document(seed=1, object_seeds=(None, None, 8, None))
    np.testing.assert_array_equal(render(scene_model, document).image, pixels(scene_model.images([1], z=z)))


def test_an_object_can_have_the_code_of_another(scene_model: Model):
    z = scene_model.latents([1])
    z[:, 0] = scene_model.latents([8])[:, 2]
    document = Document(seed=1, object_seeds=((8, 2), None, None, None))
    np.testing.assert_array_equal(render(scene_model, document).image, pixels(scene_model.images([1], z=z)))
    with pytest.raises(UserError, match="there is no object 9"):
        render(scene_model, replace(document, object_seeds=((8, 9), None, None, None)))


def test_noise_has_a_seed_of_its_own(model: Model):
    one, same, other = (
        render(model, Document(seed=2, noise_mode="random", noise_seed=seed)).image for seed in (2, None, 5)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_heatmaps_are_those_of_the_layout(model: Model):
    rendering = render(model, Document(seed=7))
    for level in range(3):
        maps = rendering.layout.heatmaps(level, 24, floor=0.0)[0].amax(0)
        assert rendering.heatmaps(level, 24).shape == (24, 24)
        np.testing.assert_allclose(rendering.heatmaps(level, 24) / 255, maps.numpy(), atol=0.5 / 255 + 1e-6)


def test_a_layout_has_the_registration_of_the_model():
    """Wherever it comes from: heatmaps are those that the network hears."""
    encoding = {**ENCODING, "registration": "cells"}
    config = run_config(generator=generator_config(encoding=encoding))
    cells = Model(tiny_generator(config), config, "cpu")
    own = render(cells, Document(seed=3))
    again = render(cells, Document(seed=3, layout=own.layout_json()))
    assert (own.layout.registration, again.layout.registration) == ("cells", "cells")
    np.testing.assert_array_equal(again.heatmaps(0, 32), own.heatmaps(0, 32))
    np.testing.assert_array_equal(again.image, own.image)


def test_mean_features_come_when_asked_for(model: Model):
    blocks = {}
    model.images([7], block_outputs=blocks)
    rendering = render(model, Document(seed=7), with_features=True)
    assert rendering.features.keys() == {4, 8, 16}
    np.testing.assert_allclose(rendering.features[8], blocks[8][0].mean(0), atol=1e-5)
    assert render(model, Document(seed=7)).features == {}


def test_a_model_without_layouts():
    plain = tiny_model("stylegan2")
    rendering = render(plain, Document(seed=1))
    assert rendering.layout is None
    assert rendering.layout_json() is None
    with pytest.raises(UserError, match="takes no layout"):
        rendering.heatmaps(0, 8)
    with pytest.raises(UserError, match="layout: this model"):
        layout_of(plain, Document(layout={"levels": [{"centers": [[0, 0]], "spreads": [1]}]}))


def test_labels(model: Model):
    conditional = tiny_model(classes=3)
    first, second = (render(conditional, Document(seed=1, label=label)).image for label in (0, 2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(render(conditional, Document(seed=1)).image, first)
    np.testing.assert_array_equal(render(conditional, Document(seed=1, label=(0.0, 0.0, 1.0))).image, second)
    with pytest.raises(UserError, match="class 3 does not exist"):
        render(conditional, Document(label=3))
    with pytest.raises(UserError, match="without labels"):
        render(model, Document(label=0))


@pytest.mark.parametrize("document, words", [
    (Document(layout={"levels": [{"centers": [[0, 0]], "spreads": [1]}]}), "layout has 1 centres at level 0, but"),
    (Document(layout={"levels": [{"centers": [[5, 0]], "spreads": [1]}]}), "outside"),
    (Document(w=encode_array(np.zeros([1, 2, 3]))), "ws must have the shape"),
    (Document(object_seeds=(1, 2)), "object_seeds: 2 seeds"),
])  # fmt: skip
def test_documents_of_another_model_are_refused(model: Model, document: Document, words: str):
    with pytest.raises(UserError, match=words):
        render(model, document)


@pytest.mark.parametrize("method, object_seeds, options", [
    ("spatialgan", None, []),
    ("spatialgan-indoor", (None, 8, None, None), ["--restyle=1:8"]),
    ("spatialgan-indoor", (None, (8, 0), None, (9, 3)), ["--restyle=1:8:0,3:9:3"]),
])  # fmt: skip
def test_generate_reproduces_a_document_to_the_pixel(tmp_path, method: str, object_seeds, options):
    snapshot = save_tiny_snapshot(tmp_path, method)
    model = Model.load(snapshot)
    layout = model.layout([7]).moved(0, 0, 0.1, 0.05).with_spread(0, 0, 0.7).validate()
    document = Document(seed=7, truncation_psi=0.7, object_seeds=object_seeds)
    document = replace(document, layout=layout_to_json(layout)["layouts"][0])
    file = tmp_path / "layout.json"
    file.write_text(json.dumps({"format": FORMAT, "version": VERSION, "layouts": [document.layout]}))
    given = [f"--network={snapshot}", "--seeds=7", "--trunc=0.7", f"--layout={file}", f"--outdir={tmp_path / 'out'}"]
    result = CliRunner().invoke(generate.main, given + options)
    assert result.exit_code == 0, result.output
    written = np.asarray(Image.open(tmp_path / "out" / "seed0007.png"))
    np.testing.assert_array_equal(written, render(model, document).image)
