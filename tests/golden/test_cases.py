"""The golden tests notice wrong numbers, and a folder without the files."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.golden.cases import assert_close

ROOT = Path(__file__).parents[2]
FILES = ["upfirdn2d", "bias_act", "conv2d_resample", "modulated_conv2d", "mapping", "generator", "discriminator"]
FILES += ["losses", "eqgan_sel", "schedule", "names"]


@pytest.mark.parametrize(
    "actual, expected",
    [
        ([1.0, 2.0], [1.0, 2.001]),
        ([1.0, float("nan")], [1.0, 2.0]),
        ([0.0, 1e-3], [0.0, 0.0]),
        ([1.0], [1.0, 1.0]),
    ],
    ids=["off", "nan", "zero", "shape"],
)
def test_wrong_numbers_are_noticed(actual: list[float], expected: list[float]):
    with pytest.raises(AssertionError):
        assert_close(torch.tensor(actual), torch.tensor(expected), 1e-5)


def test_no_gradient_is_right_only_for_zero():
    assert_close(None, torch.zeros(2), 1e-5)
    with pytest.raises(AssertionError):
        assert_close(None, torch.ones(2), 1e-5)


def test_error_is_relative_to_the_largest_number():
    assert_close(torch.tensor([1000.0, 0.001]), torch.tensor([1000.0, 0.0]), 1e-5)


@pytest.mark.slow
def test_missing_files_fail_every_test(tmp_path: Path):
    tests = [f"tests/golden/test_{name}.py" for name in FILES]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env={**os.environ, "GOLDEN_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    summary = run.stdout.splitlines()[-1]
    assert run.returncode == 1, run.stdout
    assert re.fullmatch(r"\d+ (failed|errors?)(, \d+ (failed|errors?))? in .*", summary), summary
