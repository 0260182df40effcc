"""What is timed: training phases as they run in training, each model with its own operators."""

import pytest
import torch

from benchmarks import subjects
from benchmarks.subjects import TrainingPhases
from tests.benchmarks.small import small_config
from torch_utils import ops
from training.config import HardwareConfig


@pytest.fixture(scope="module")
def phases() -> TrainingPhases:
    return TrainingPhases(small_config())


def test_lazy_phases_count_as_often_as_they_run(phases):
    seconds = {"G_main": 2.0, "G_path": 8.0, "D_main": 4.0, "D_r1": 32.0, "inference": 100.0}
    assert phases.per_image(seconds) == pytest.approx((2 + 8 / 4 + 4 + 32 / 16) / 2)
    rounds = {name: [value, 3 * value] for name, value in seconds.items()}
    assert phases.per_image_by_round(rounds) == pytest.approx([5, 15])


@pytest.mark.parametrize("phase", ["G_main", "G_path", "D_main", "D_r1"])
def test_a_phase_trains_its_network_and_no_other(phases, phase):
    networks = {"G": phases.state.networks.G, "D": phases.state.networks.D}
    before = {name: [p.detach().clone() for p in network.parameters()] for name, network in networks.items()}
    assert phases.seconds(phase) > 0
    for name, network in networks.items():
        changed = any(not torch.equal(p, q) for p, q in zip(network.parameters(), before[name], strict=True))
        assert changed == (name == phase[0])


def test_inference_leaves_no_graph_and_no_trace(phases, monkeypatch):
    seen = []
    forward = phases.state.G_ema.forward
    monkeypatch.setattr(phases.state.G_ema, "forward", lambda *a, **k: seen.append(forward(*a, **k)))
    phases.seconds("inference")
    assert seen[0].shape == (2, 3, 32, 32)
    assert seen[0].is_inference()


def test_paper256_differs_between_the_methods_in_the_method_alone():
    ours, plain = (subjects.resolved(name, "paper256", 256, 4, "cpu") for name in ("spatialgan", "stylegan2"))
    synthesis = ours.generator.synthesis
    assert (synthesis.channel_base, synthesis.channel_max, ours.generator.mapping.num_layers) == (16384, 512, 8)
    assert (ours.loss.r1_gamma, ours.schedule.batch_size, ours.hardware.device) == (1, 4, "cpu")
    assert ours.discriminator == plain.discriminator
    assert ours.loss == plain.loss
    assert ours.generator.model_copy(update={"encoding": None}) == plain.generator


def test_each_model_runs_with_its_own_operators(phases):
    plain = small_config("stylegan2")
    hardware = HardwareConfig(device="cpu", ops="reference")
    other = TrainingPhases(plain.model_copy(update={"hardware": hardware}))
    assert not other.state.networks.D.blocks["32"].conv0.weight.is_contiguous(memory_format=torch.channels_last)
    seen = []
    for each in (phases, other, phases):
        each.parts["note"] = lambda: seen.append(ops.chosen())
        each.seconds("note")
    del phases.parts["note"]
    assert seen == [ops.default(), "reference", ops.default()]
