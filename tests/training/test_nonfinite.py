"""NaN and Inf: the step is skipped, counted, its inputs kept, and too many end the run."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dnnlib.errors import UserError
from tests.training.small import make_batch, make_networks, run_config
from torch_utils.distributed import World
from training import step as steps
from training.inputs import Batch
from training.losses.phases import make_phases
from training.nonfinite import NonFiniteGuard, all_finite
from training.state import TrainingState


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_one_bad_number_anywhere_is_found(bad: float):
    good = [torch.ones(3, 4), torch.zeros(2, dtype=torch.float32), torch.full([5], 1e30)]
    assert all_finite(good)
    good[1][1] = bad
    assert not all_finite(good)


def step(poison: float | None):
    """(state before, state after, verdict) of a D step whose real images hold `poison`."""
    config = run_config()
    state = TrainingState.create(config, World())
    phase = next(phase for phase in make_phases(config) if phase.name == "D_main")

    def run(value: float | None):
        images = torch.zeros(4, 3, 32, 32)
        if value is not None:
            images[1, 2, 3, 4] = value
        batches = steps.micro_batches(phase, config, state, images, torch.zeros(4, 0), lambda n: torch.zeros(n, 0))
        return steps.run_phase(phase, config, state, batches)

    assert run(None)  # so that the optimiser has moments
    before = {name: value.clone() for name, value in state.tensors().items() if name.startswith(("D.", "optimizer.D"))}
    verdict = run(poison)
    return before, {name: state.tensors()[name] for name in before}, verdict


@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
def test_a_bad_step_changes_neither_weights_nor_moments(poison: float):
    before, after, finite = step(poison)
    assert not finite
    assert [name for name, value in before.items() if not torch.equal(value, after[name])] == []


def test_a_good_step_changes_both():
    before, after, finite = step(None)
    assert finite
    changed = {name.split(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"D", "optimizer"}


def batch() -> Batch:
    config = run_config()
    return make_batch(make_networks(config), config)


def test_inputs_of_the_first_bad_step_are_kept(tmp_path: Path):
    guard, bad = NonFiniteGuard(tmp_path, limit=3), batch()
    guard.add(torch.tensor(True), "G_main", batch(), 8)
    guard.add(torch.tensor(False), "G_main", bad, 16)
    guard.add(torch.tensor(False), "D_main", bad, 24)
    assert [path.name for path in tmp_path.iterdir()] == ["nonfinite-G_main-0000000016.safetensors"]
    saved = load_file(guard.saved)
    assert torch.equal(saved["z"], bad.inputs.z)
    assert torch.equal(saved["centers.1"], bad.inputs.layout.centers[1])
    assert torch.equal(saved["real_images"], bad.real_images)
    assert guard.start_tick() == 2
    assert guard.skipped == 0


def test_too_many_in_a_tick_end_the_run(tmp_path: Path):
    guard = NonFiniteGuard(tmp_path, limit=2)
    guard.add(torch.tensor(False), "G_main", batch(), 8)
    with pytest.raises(UserError, match=r"G_main: gradients were NaN or Inf in 2 steps.*at 0.016 kimg") as caught:
        guard.add(torch.tensor(False), "G_main", batch(), 16)
    assert "\n" not in str(caught.value)
    assert str(guard.saved) in str(caught.value)
