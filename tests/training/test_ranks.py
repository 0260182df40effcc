"""Training in two processes is training in one: the same images, latents and gradients."""

import pytest
import torch
from safetensors.torch import load_file

from tests.training import ranks
from torch_utils.launch import launch

# float64 rounds to 1e-16; after two steps one and two processes are up to 4e-15 apart.
TOLERANCE = 1e-11


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    path = tmp_path_factory.mktemp("alone") / "gradients.safetensors"
    ranks.gradients(path, 0)
    return load_file(path)


@pytest.mark.parametrize("bucket_bytes", [0, 2**20], ids=["a bucket each", "one bucket"])
def test_two_ranks_have_the_gradients_of_one(alone, bucket_bytes, tmp_path):
    """In every phase of two steps: in the second, gradients travel while others are still computed."""
    path = tmp_path / "gradients.safetensors"
    launch(ranks.gradients, 2, "cpu", path, bucket_bytes)
    together = load_file(path)
    assert {tensor.dtype for tensor in together.values()} == {torch.float64}
    assert together.keys() == alone.keys()
    phases = {f"{step}.{phase}." for step in range(2) for phase in ("G_main", "G_path", "D_main", "D_r1")}
    phases -= {"1.G_path.", "1.D_r1."}  # not yet their turn again
    errors = {group: relative_error(together, alone, group) for group in phases | {"w_avg", "pl_mean"}}
    assert max(errors.values()) < TOLERANCE, errors


def relative_error(ours: dict, theirs: dict, group: str) -> float:
    """|ours - theirs| / |theirs|, Euclidean, over all tensors whose names begin with `group`."""
    names = [name for name in theirs if name.startswith(group)]
    assert names, group
    difference = sum((ours[name] - theirs[name]).double().square().sum().item() for name in names)
    return (difference / sum(theirs[name].double().square().sum().item() for name in names)) ** 0.5
