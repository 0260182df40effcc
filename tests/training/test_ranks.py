"""Training in two processes is training in one: the same images, latents and gradients."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training import ranks
from tests.training.data_samples import picture, write_zip
from torch_utils.launch import launch
from training.runs.checkpoint import checkpoint_path
from training.runs.directory import create, find

# float64 rounds to 1e-16; after two steps one and two processes are up to 4e-15 apart.
TOLERANCE = 1e-11


BUCKETS = {"a bucket each": 0, "one bucket": 2**20}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    ranks.gradients(folder, (0,))
    return load_file(ranks.file_of(folder, 0))


@pytest.fixture(scope="module")
def folder_of_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together")
    launch(ranks.gradients, 2, "cpu", folder, tuple(BUCKETS.values()))
    return folder


@pytest.mark.parametrize("buckets", BUCKETS)
def test_two_ranks_have_the_gradients_of_one(alone, folder_of_two, buckets):
    """In every phase of two steps: in the second, gradients travel while others are still computed."""
    together = load_file(ranks.file_of(folder_of_two, BUCKETS[buckets]))
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


@pytest.mark.slow
@pytest.mark.usefixtures("few_samples")
def test_two_ranks_grow_as_one_does(tmp_path: Path):
    data = write_zip(tmp_path / "data.zip", {f"{i:02d}.png": picture(i, 32) for i in range(16)})
    runs = {}
    for procs in (1, 2):
        config = ranks.growing_config(data, procs)
        runs[procs] = create(find(tmp_path / str(procs), config), config)
    ranks.grow(runs[1], data)
    launch(ranks.grow, 2, "cpu", runs[2], data)
    one, two = (load_file(checkpoint_path(runs[procs], 48)) for procs in (1, 2))
    assert one["G.synthesis.stage"] == two["G.synthesis.stage"] == 2.5
    weights = [name for name in one if name.startswith(("G.", "D.", "G_ema.")) and one[name].is_floating_point()]
    faded_in = [name for name in weights if name.startswith("D.blocks.32") and name.endswith("weight")]
    assert len(weights) > 60
    assert faded_in
    for name in weights:
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-7)
