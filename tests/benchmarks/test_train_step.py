"""The step benchmark: fair turns, the right sums, and the report's form."""

import json

import pytest
import torch
from click.testing import CliRunner

from benchmarks import train_step
from benchmarks.train_step import Bench, medians, take_turns, unsteadiness
from tests.benchmarks.refusals import assert_refused
from tests.tiny_models import tiny_config
from torch_utils import ops
from training.config import HardwareConfig, RunConfig, ScheduleConfig


def small_config(method: str = "spatialgan") -> RunConfig:
    change = {
        "schedule": ScheduleConfig(batch_size=2, batch_gpu=2),
        "hardware": HardwareConfig(device="cpu"),
    }
    config = tiny_config(method, resolution=32)
    return config.model_copy(update=change)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(small_config())


class Clock:
    """Stands in for a Bench: notes its turns and says how long each took."""

    device = torch.device("cpu")

    def __init__(self, name, turns, parts, values):
        self.name, self.turns, self.parts, self.values = name, turns, parts, iter(values)

    def seconds(self, part):
        self.turns.append(self.name + part)
        return next(self.values)


def test_methods_take_turns_and_the_first_rounds_do_not_count():
    turns = []
    benches = {
        "A": Clock("A", turns, "xy", [90, 90, 90, 90, 1, 10, 2, 20, 30, 30]),
        "B": Clock("B", turns, "x", [90, 90, 5, 7, 6]),
    }
    samples = take_turns(benches, repeats=3)
    assert samples == {"A": {"x": [1, 2, 30], "y": [10, 20, 30]}, "B": {"x": [5, 7, 6]}}
    assert turns == ["Ax", "Bx", "Ay"] * 5
    assert medians(samples["A"]) == {"x": 2, "y": 20}


def test_a_busy_machine_is_noticed():
    assert unsteadiness({"G_main": [2.0, 3.0, 2.5], "D_main": [1.0, 1.0, 1.0], "inference": [1.0, 9.0, 1.0]}) == 1.5
    method = {"phases": {"G_main": 2.0}, "per_image": 1.0, "inference_per_image": 1.0, "peak_mb": 1.0}
    report = {"ratio": 1.0, "methods": {"A": method, "B": method}, "unsteadiness": 1.5}
    assert "not to be trusted: a part took 1.5 times" in train_step.table(report, 2)
    assert "not to be trusted" not in train_step.table(report | {"unsteadiness": 1.1}, 2)


def test_lazy_phases_count_as_often_as_they_run(bench):
    seconds = {"G_main": 2.0, "G_path": 8.0, "D_main": 4.0, "D_r1": 32.0, "inference": 100.0}
    assert bench.per_image(seconds) == pytest.approx((2 + 8 / 4 + 4 + 32 / 16) / 2)


@pytest.mark.parametrize("phase", ["G_main", "G_path", "D_main", "D_r1"])
def test_a_phase_trains_its_network_and_no_other(bench, phase):
    networks = {"G": bench.state.networks.G, "D": bench.state.networks.D}
    before = {name: [p.detach().clone() for p in network.parameters()] for name, network in networks.items()}
    assert bench.seconds(phase) > 0
    for name, network in networks.items():
        changed = any(not torch.equal(p, q) for p, q in zip(network.parameters(), before[name], strict=True))
        assert changed == (name == phase[0])


def test_inference_leaves_no_graph_and_no_trace(bench, monkeypatch):
    seen = []
    forward = bench.state.G_ema.forward
    monkeypatch.setattr(bench.state.G_ema, "forward", lambda *a, **k: seen.append(forward(*a, **k)))
    bench.seconds("inference")
    assert seen[0].shape == (2, 3, 32, 32)
    assert seen[0].is_inference()


def test_paper256_differs_between_the_methods_in_the_method_alone():
    ours, plain = (train_step.resolved(name, "paper256", 256, 4, "cpu") for name in ("spatialgan", "stylegan2"))
    synthesis = ours.generator.synthesis
    assert (synthesis.channel_base, synthesis.channel_max, ours.generator.mapping.num_layers) == (16384, 512, 8)
    assert (ours.loss.r1_gamma, ours.schedule.batch_size, ours.hardware.device) == (1, 4, "cpu")
    assert ours.discriminator == plain.discriminator
    assert ours.loss == plain.loss
    assert ours.generator.model_copy(update={"encoding": None}) == plain.generator


def test_peak_memory_is_that_of_a_process_of_its_own():
    held = torch.ones(2**28)  # 1 GiB here must not be counted there
    assert 50 < train_step.peak_mb(small_config()) < 1024
    del held


def test_report_and_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(train_step, "peak_mb", lambda config: 100.0)
    monkeypatch.setattr(train_step, "resolved", lambda method, *_: small_config(method))
    path = tmp_path / "new" / "report.json"
    result = CliRunner().invoke(train_step.main, ["--device=cpu", "--batch=2", "--repeats=1", f"--json={path}"])
    assert result.exit_code == 0, result.output
    assert "ratio per image shown, spatialgan to stylegan2" in result.output
    report = json.loads(path.read_text())
    first, second = (report["methods"][name] for name in ("spatialgan", "stylegan2"))
    assert report["ratio"] == pytest.approx(first["per_image"] / second["per_image"])
    assert list(first["phases"]) == ["G_main", "G_path", "D_main", "D_r1"]
    assert first.keys() == {"phases", "per_image", "inference_per_image", "peak_mb"}
    assert {"cpu", "threads", "torch", "gpu"} == report["machine"].keys()
    assert report["unsteadiness"] == 1  # one round


@pytest.mark.parametrize("given, pair", [
    (("a", None, "auto", None), {"a": ("a", "auto"), "stylegan2": ("stylegan2", "auto")}),
    (("a", "b", "native", None), {"a": ("a", "native"), "b": ("b", "native")}),
    (("a", None, "auto", "reference"), {"a (auto)": ("a", "auto"), "a (reference)": ("a", "reference")}),
    (("a", "b", "auto", "pytorch"), {"a (auto)": ("a", "auto"), "b (pytorch)": ("b", "pytorch")}),
])
def test_what_is_compared_with_what(given, pair):
    assert train_step.compared(*given) == pair


def test_each_bench_runs_with_its_own_operators(bench):
    plain = small_config("stylegan2")
    hardware = HardwareConfig(device="cpu", ops="reference")
    other = Bench(plain.model_copy(update={"hardware": hardware}))
    assert not other.state.networks.D.blocks["32"].conv0.weight.is_contiguous(memory_format=torch.channels_last)
    seen = []
    for each in (bench, other, bench):
        each.parts["note"] = lambda: seen.append(ops.chosen())
        each.seconds("note")
    del bench.parts["note"]
    assert seen == [ops.default(), "reference", ops.default()]


@pytest.mark.parametrize("arguments, text", [
    (["--ops=natve"], "should be 'auto', 'native', 'pytorch' or 'reference'"),
    (["--vs=spatialgan"], "give two methods to compare"),
    (["--method=spatialgun"], "did you mean 'spatialgan'"),
    (["--cfg=paper265"], "did you mean 'paper256'"),
])
def test_refusals(arguments, text):
    assert_refused(train_step.main, arguments, text)
