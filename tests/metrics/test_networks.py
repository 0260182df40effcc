"""Networks by path, by number, and in checkpoints."""

import json

import pytest
import torch
from safetensors.torch import save_file

from dnnlib.errors import UserError
from metrics.networks import load_model, open_network
from tests.tiny_models import save_tiny_snapshot, tiny_config, tiny_generator


def test_files_directories_and_numbers(tmp_path):
    paths = [save_tiny_snapshot(tmp_path, kimg=kimg) for kimg in (4, 12)]
    assert open_network(str(paths[0])).path == paths[0]
    assert open_network(str(tmp_path)).path == paths[1]
    assert open_network(f"{tmp_path}/4").path == paths[0]
    assert open_network(f"{tmp_path}/12").kimg == 12


def test_refusals(tmp_path):
    with pytest.raises(UserError, match="no snapshot at 3 kimg; there are none"):
        open_network(f"{tmp_path}/3")
    save_tiny_snapshot(tmp_path, kimg=4)
    with pytest.raises(UserError, match="no snapshot at 3 kimg; there are 4"):
        open_network(f"{tmp_path}/3")
    with pytest.raises(UserError, match="no such file"):
        open_network(f"{tmp_path}/nowhere/3")


def test_a_checkpoint(tmp_path):
    config = tiny_config()
    tensors = {f"G_ema.{name}": value.clone() for name, value in tiny_generator(config).state_dict().items()}
    about = {"version": 2, "images": 5000, "config": config.model_dump(mode="json")}
    path = tmp_path / "checkpoint-0000005000.safetensors"
    save_file(tensors, path, metadata={"steergan-checkpoint": json.dumps(about)})
    snapshot = open_network(str(path))
    assert snapshot.kimg == 5
    images = load_model(snapshot, "cpu").images([1])
    assert torch.equal(images, load_model(open_network(str(save_tiny_snapshot(tmp_path))), "cpu").images([1]))


def test_snapshots_closer_than_a_thousand_images_apart(tmp_path):
    paths = [save_tiny_snapshot(tmp_path, kimg=kimg) for kimg in (0.016, 0.032, 4.032)]
    assert len({path.name for path in paths}) == 3
    assert open_network(f"{tmp_path}/0.032").path == paths[1]
    assert open_network(f"{tmp_path}/4").path == paths[2]
    assert open_network(str(tmp_path)).path == paths[2]
    with pytest.raises(UserError, match=r"no snapshot at 0 kimg; there are 0\.016, 0\.032, 4\.032"):
        open_network(f"{tmp_path}/0")
