"""The operators' benchmark: every version of every operator is timed, and set against the machine's rates."""

import json

import pytest
import torch
from click.testing import CliRunner

from benchmarks import ops as benchmark
from benchmarks.ops import VERSIONS, Setting, cases, least_bytes, measure

SETTING = Setting(torch.device("cpu"), torch.float32, 2, torch.channels_last)


@pytest.mark.parametrize("number", range(8))
def test_every_case_runs_and_has_gradients(number):
    case = cases(SETTING, 8, 8)[number]
    y = case.run()
    assert y.shape[:2] == (2, 8)
    assert all(g is not None for g in torch.autograd.grad(y.sum(), case.inputs))
    found = measure(case, VERSIONS, SETTING.device, 1)
    assert list(found) == list(VERSIONS)
    assert all(0 < times["forward"] < 10 and 0 < times["both"] < 10 for times in found.values())


def test_bytes_and_operations():
    by_name = {case.name: case for case in cases(SETTING, 8, 16)}
    assert least_bytes(by_name["bias_act"]) == (2 * 2 * 8 * 16 * 16 + 8) * 4
    assert least_bytes(by_name["upfirdn2d down"]) == 2 * 8 * (16 * 16 + 8 * 8) * 4
    assert by_name["modulated_conv2d"].operations == 2 * 2 * 8 * 8 * 9 * 16 * 16


def test_report_and_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "SIZES", ((8, 8),))
    monkeypatch.setattr(benchmark, "copy_rate", lambda device: 1e9)
    monkeypatch.setattr(benchmark, "product_rate", lambda device, dtype: 1e9)
    path = tmp_path / "new" / "ops.json"
    result = CliRunner().invoke(benchmark.main, ["--device=cpu", "--repeats=1", "--batch=2", f"--json={path}"])
    assert result.exit_code == 0, result.output
    assert "of the copy's bytes" in result.output
    assert "of the product's operations" in result.output
    found = json.loads(path.read_text())
    assert len(found["ops"]) == 8
    assert found["ops"][0].keys() == {"name", "size", "bytes", "flops", *VERSIONS}
    assert {"cpu", "threads", "torch", "gpu"} == found["machine"].keys()
