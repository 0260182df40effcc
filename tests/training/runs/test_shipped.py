"""Models to give away: small, readable as any snapshot, and within float16's rounding of what they were made from."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dnnlib.errors import UserError
from tests.tiny_models import save_tiny_snapshot
from training.runs.shipped import save_shipped
from training.runs.snapshot import open_snapshot
from training.runs.transfer import take_weights
from training.sampling import Model


@pytest.fixture
def original(tmp_path):
    return save_tiny_snapshot(tmp_path, kimg=3.0)


@pytest.fixture
def shipped(original, tmp_path):
    path = tmp_path / "model.safetensors"
    save_shipped(path, open_snapshot(original))
    return path


def test_it_draws_what_the_snapshot_draws_but_for_rounding(original, shipped):
    model, before = Model.load(shipped, "cpu"), Model.load(original, "cpu")
    assert model.kimg == 3.0
    assert next(model.G.parameters()).dtype == torch.float32
    images, expected = model.images([1, 2]), before.images([1, 2])
    assert not torch.equal(images, expected)
    assert (images - expected).abs().max() < 0.02 * expected.abs().max()


def test_weights_are_those_of_the_snapshot_rounded_to_float16(original, shipped):
    before = open_snapshot(original).discriminator().state_dict()
    after = open_snapshot(shipped).discriminator().state_dict()
    assert all(torch.equal(value.half().float(), after[key]) for key, value in before.items())


def test_it_holds_two_networks_in_a_third_of_the_size(original, shipped):
    assert open_snapshot(shipped).networks() == ["G_ema", "D"]
    sizes = {path: sum(t.nbytes for t in load_file(path).values()) for path in (original, shipped)}
    assert sizes[shipped] < 0.36 * sizes[original]


def test_the_generator_in_training_is_not_there(shipped):
    with pytest.raises(UserError, match=r"without G; it holds D, G_ema$"):
        Model.load(shipped, "cpu", weights="G")


def test_it_begins_a_new_training(shipped, original):
    G, G_ema, D = (
        make() for make in (open_snapshot(original).generator,) * 2 + (open_snapshot(original).discriminator,)
    )
    lines = take_weights(str(shipped), G, G_ema, D)
    assert [line for line in lines if "(100.0% of its parameters)" in line] == lines[1:]
    assert torch.equal(G.state_dict()["mapping.w_avg"], G_ema.state_dict()["mapping.w_avg"])


def test_no_path_of_the_machine_is_left(tmp_path):
    path = save_tiny_snapshot(tmp_path)
    snapshot = open_snapshot(path)
    data = snapshot.config.data.model_copy(update={"path": "/far/away/data/faces.zip"})
    config = snapshot.config.model_copy(update={"data": data, "resume": "/far/away/runs/1"})
    save_shipped(tmp_path / "model.safetensors", type(snapshot)(path, config, 1.0))
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        about = json.loads(file.metadata()["steergan"])
    assert about["config"]["data"]["path"] == "faces.zip"
    assert about["config"]["resume"] is None


def test_float16_weights_are_refused_in_files_that_do_not_say_so(shipped, tmp_path):
    with safe_open(shipped, "pt") as file:
        about = json.loads(file.metadata()["steergan"])
    path = tmp_path / "unsaid.safetensors"
    save_file(load_file(shipped), path, {"steergan": json.dumps(about | {"half": False})})
    with pytest.raises(UserError, match=r"is float16 .*, not float32"):
        Model.load(path, "cpu")


def test_weights_beyond_float16_are_refused(original, tmp_path):
    snapshot = open_snapshot(original)
    generator = snapshot.generator()
    next(generator.parameters()).data.fill_(1e5)

    class Large(type(snapshot)):
        def generator(self, name="G_ema"):
            return generator

    with pytest.raises(UserError, match="float16 does not hold"):
        save_shipped(tmp_path / "model.safetensors", Large(original, snapshot.config, 3.0))
    assert not (tmp_path / "model.safetensors").exists()
