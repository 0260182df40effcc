"""The operators' benchmark: every version of every operator is timed, and set against the machine's rates."""

import importlib

import pytest
import torch
from click.testing import CliRunner

from benchmarks.harness.report import read_report
from benchmarks.harness.turns import seconds_of
from benchmarks.measures import ops as benchmark
from benchmarks.measures.ops import BOTH, FORWARD, VERSIONS, Setting, TimedVersion, cases, least_bytes, part_name
from benchmarks.ops import main
from torch_utils import ops

SETTING = Setting(torch.device("cpu"), torch.float32, 2, torch.channels_last)


@pytest.mark.parametrize("number", range(8))
def test_every_case_runs_and_has_gradients(number):
    case = cases(SETTING, 8, 8)[number]
    y = case.run()
    assert y.shape[:2] == (2, 8)
    assert all(g is not None for g in torch.autograd.grad(y.sum(), case.inputs))
    for version in VERSIONS:
        timed = TimedVersion(version, [case], SETTING.device)
        assert list(timed.parts) == [part_name(case, FORWARD), part_name(case, BOTH)]
        assert all(0 < timed.seconds(part) < 10 for part in timed.parts)


def test_the_native_operators_take_every_case(monkeypatch):
    module = importlib.import_module("torch_utils.ops.bias_act")
    takes, taken = module._native_takes, []
    monkeypatch.setattr(module, "_native_takes", lambda *given: taken.append(takes(*given)) or taken[-1])
    for case in cases(SETTING, 8, 8):
        TimedVersion("native", [case], SETTING.device).seconds(part_name(case, BOTH))
    assert len(taken) >= 3
    assert all(taken)


def test_bytes_and_operations():
    by_name = {case.name: case for case in cases(SETTING, 8, 16)}
    assert least_bytes(by_name["bias_act"]) == (2 * 2 * 8 * 16 * 16 + 8) * 4
    assert least_bytes(by_name["upfirdn2d down"]) == 2 * 8 * (16 * 16 + 8 * 8) * 4
    assert by_name["modulated_conv2d"].operations == 2 * 2 * 8 * 8 * 9 * 16 * 16


def test_report_and_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "SIZES", ((8, 8),))
    monkeypatch.setattr(benchmark, "seconds_of_short", seconds_of)  # a call once
    monkeypatch.setattr(benchmark, "copy_rate", lambda device: 1e9)
    monkeypatch.setattr(benchmark, "product_rate", lambda device, dtype: 1e9)
    path = tmp_path / "new" / "ops.json"
    result = CliRunner().invoke(main, ["--device=cpu", "--quick", "--batch=2", f"--json={path}"])
    assert result.exit_code == 0, result.output
    assert "of the copy's bytes" in result.output
    assert "of the product's operations" in result.output
    report = read_report(path)
    assert list(report.series) == list(VERSIONS)
    assert list(report.ratios) == ["pytorch to native", "reference to native"]
    assert len(report.series["native"]) == 8 * 2
    assert report.series["native"]["8x8x8 bias_act forward"].unit == "ms"
    assert report.facts["work"]["8x8x8 bias_act"] == {"bytes": (2 * 2 * 8 * 8 * 8 + 8) * 4, "flops": 0}
    assert report.settings == {"dtype": "float32", "batch": 2, "nhwc": True, "device": "cpu"}


def test_each_version_runs_with_its_own_operators():
    seen = []
    case = benchmark.Case("note", lambda: seen.append(ops.chosen()) or torch.zeros(1), [])
    for version in VERSIONS:
        TimedVersion(version, [case], SETTING.device).seconds("note forward")
        assert set(seen[1:]) == {version}  # the first call only tells the shape
        seen.clear()
