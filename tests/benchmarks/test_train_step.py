"""The step benchmark: the phases of both methods, sums and ratios by round, and the report."""

import pytest
from click.testing import CliRunner

from benchmarks.harness.report import read_report
from benchmarks.measures import train_step
from benchmarks.measures.train_step import GENERATED_IMAGE, TRAINING_IMAGE
from benchmarks.subjects import TrainingPhases
from benchmarks.train_step import main
from tests.benchmarks.refusals import assert_refused
from tests.benchmarks.small import small_config

PHASES = ["G_main", "G_path", "D_main", "D_r1"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_step, "peak_mib", lambda work, config: 100.0)
    monkeypatch.setattr(train_step, "resolved", lambda method, *_: small_config(method))


def test_report_and_its_file(quick, tmp_path):
    path = tmp_path / "report.json"
    result = CliRunner().invoke(main, ["--device=cpu", "--batch=2", "--quick", f"--json={path}"])
    assert result.exit_code == 0, result.output
    assert "peak memory: spatialgan 100 MiB, stylegan2 100 MiB" in result.output
    report = read_report(path)
    first, second = report.series["spatialgan"], report.series["stylegan2"]
    assert list(first) == [*PHASES, TRAINING_IMAGE, GENERATED_IMAGE]
    for number in range(2):
        spent = {name: first[name].samples[number] for name in PHASES}
        per_image = (spent["G_main"] + spent["G_path"] / 4 + spent["D_main"] + spent["D_r1"] / 16) / 2
        assert first[TRAINING_IMAGE].samples[number] == pytest.approx(per_image, rel=1e-5)
        ratio = report.ratios["spatialgan to stylegan2"][TRAINING_IMAGE].samples[number]
        pair = [each[TRAINING_IMAGE].samples[number] for each in (first, second)]
        assert ratio == pytest.approx(pair[0] / pair[1], rel=1e-5)
    assert report.facts == {
        "peak_mib": {"spatialgan": 100, "stylegan2": 100},
        "methods": {name: {"method": name, "ops": "auto"} for name in ("spatialgan", "stylegan2")},
    }


def test_two_methods_take_turns_in_every_phase(quick, monkeypatch):
    turns = []
    monkeypatch.setattr(
        TrainingPhases, "seconds", lambda self, part: turns.append(f"{self.config.method} {part}") or 1.0
    )
    result = CliRunner().invoke(main, ["--device=cpu", "--batch=2", "--rounds=1"])
    assert result.exit_code == 0, result.output
    parts = [*PHASES, "inference"]
    assert turns == [f"{method} {part}" for part in parts for method in ("spatialgan", "stylegan2")] * 3


def test_peak_memory_is_that_of_one_step_of_each(quick, monkeypatch):
    asked = []
    monkeypatch.setattr(train_step, "peak_mib", lambda *given: asked.append(given) or 1.0)
    CliRunner().invoke(main, ["--device=cpu", "--batch=2", "--quick"])
    assert asked == [(train_step._one_step, small_config(name)) for name in ("spatialgan", "stylegan2")]


@pytest.mark.parametrize("given, pair", [
    (("a", None, "auto", None), {"a": ("a", "auto"), "stylegan2": ("stylegan2", "auto")}),
    (("a", "b", "native", None), {"a": ("a", "native"), "b": ("b", "native")}),
    (("a", None, "auto", "reference"), {"a (auto)": ("a", "auto"), "a (reference)": ("a", "reference")}),
    (("a", "b", "auto", "pytorch"), {"a (auto)": ("a", "auto"), "b (pytorch)": ("b", "pytorch")}),
])
def test_what_is_compared_with_what(given, pair):
    assert train_step.compared(*given) == pair


@pytest.mark.parametrize("arguments, text", [
    (["--ops=natve"], "should be 'auto', 'native', 'direct', 'pytorch' or 'reference'"),
    (["--vs=spatialgan"], "give two methods to compare"),
    (["--method=spatialgun"], "did you mean 'spatialgan'"),
    (["--cfg=paper265"], "did you mean 'paper256'"),
    (["--res=48"], "power of two"),
    (["--res=1000000000"], "out of range"),
    (["--batch=0"], "out of range"),
])
def test_refusals(arguments, text):
    assert_refused(main, arguments, text)
