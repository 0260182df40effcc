"""The report on registers: hot kernels are found in nvcc's output, and a spill in one of them is an error."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "ptxas_report.py"
SPACE = "steergan::(anonymous namespace)"
HOT = f"void {SPACE}::along_channels<4, {SPACE}::FirstOrder<false, (steergan::Kind)1, float> >(int)"
COLD = f"void {SPACE}::along_channels<2, {SPACE}::FirstOrder<false, (steergan::Kind)1, double> >(int)"
RESAMPLE = f"void {SPACE}::resample<8, 2, 1, 4, 1, __half>({SPACE}::Task<__half>)"


def kernel(name: str, registers: int, spilled: int) -> str:
    return (
        f"ptxas info    : Compiling entry function '{name}' for 'sm_90'\n"
        "ptxas info    : Function properties for _Z1x\n"
        f"    8 bytes stack frame, {spilled} bytes spill stores, {spilled} bytes spill loads\n"
        f"ptxas info    : Used {registers} registers, used 1 barriers, 1024 bytes smem\n"
    )


def run(log: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, TOOL], input=log, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_hot_kernels_are_listed_by_family():
    status, text = run(kernel(HOT, 38, 0) + kernel(COLD, 90, 16) + kernel(RESAMPLE, 52, 0))
    assert status == 0
    first, second = text.splitlines()
    words = " ".join(first.split())
    assert words == "sm_90 along_channels FirstOrder 1 kernels, 38 to 38 registers, 0 bytes spilled"
    assert second.split()[:5] == ["sm_90", "resample", "2,", "1,", "4"]


@pytest.mark.parametrize("log, text", [
    (kernel(HOT, 255, 4), f"spills 4 bytes: {HOT} for sm_90"),
    (kernel(COLD, 38, 0), "no hot kernels found"),
    ("", "no hot kernels found"),
])
def test_spills_and_silence_are_errors(log, text):
    status, output = run(log)
    assert status == 1
    assert text in output
