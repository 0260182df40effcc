"""Build levels: flags, libraries kept apart, one clear line for a level that there is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from torch_utils.native import levels, loader, toolchain
from torch_utils.native.cache import Slot, finished, slot_prefix
from torch_utils.native.errors import ToolError
from torch_utils.ops.__main__ import main

ROOT = Path(__file__).parents[3]
ALL = ("native", "x86-64-v2", "x86-64-v3", "x86-64-v4")
AVX2 = levels.required("x86-64-v3")
SAME = """
import torch
from torch_utils import ops
from torch_utils.native import loader
print(loader.load("cpu").parent.name)
x, b = torch.linspace(-3, 3, 4 * 9 * 7 * 5).reshape(4, 9, 7, 5), torch.linspace(-1, 1, 9)
results = []
for name in ("native", "pytorch"):
    with ops.use(name):
        results.append(ops.upfirdn2d(ops.bias_act(x, b, act="swish"), ops.setup_filter([1, 3, 3, 1]), up=2, padding=2))
print(float((results[0] - results[1]).abs().max()))
"""


@pytest.fixture(autouse=True)
def _no_level(monkeypatch):
    monkeypatch.delenv("STEERGAN_MARCH", raising=False)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("STEERGAN_CACHE", str(tmp_path / "empty"))
    return tmp_path / "empty"


@pytest.fixture
def processor(monkeypatch):
    """processor(features): pretend that this one has these instruction sets."""
    return lambda features: monkeypatch.setattr(levels, "features", lambda: frozenset(features))


def test_the_levels():
    assert levels.LEVELS == ALL
    assert levels.required("native") == set()
    assert "sse4_2" in levels.required("x86-64-v2")
    assert levels.required("x86-64-v2") < levels.required("x86-64-v3") < levels.required("x86-64-v4")


def test_flags_of_a_level():
    assert [levels.flags(level) for level in ALL] == [
        ("-march=native", "-mprefer-vector-width=512"),
        ("-march=x86-64-v2",),
        ("-march=x86-64-v3",),
        ("-march=x86-64-v4", "-mprefer-vector-width=512"),
    ]


def test_a_level_is_part_of_the_key(monkeypatch, processor):
    processor(levels.required("x86-64-v4"))
    monkeypatch.setattr(toolchain, "_compiles", lambda compiler, flag: True)
    toolchain.accepted_flags.cache_clear()
    folders = []
    for level in ALL:
        monkeypatch.setenv("STEERGAN_MARCH", level)
        found = toolchain.find("cpu")
        assert f"-march={level}" in found.flags
        folders.append(Slot.of(found).folder.name)
        assert folders[-1].startswith(slot_prefix("cpu", level))
    toolchain.accepted_flags.cache_clear()
    assert len(set(folders)) == len({slot_prefix("cpu", level) for level in ALL}) == len(ALL)


def test_not_set_or_empty_means_native(monkeypatch):
    assert levels.asked() is None
    monkeypatch.setenv("STEERGAN_MARCH", "")
    assert levels.asked() is None
    assert toolchain.find("cpu").level == "native"


@pytest.mark.parametrize("value", ["skylake", "NATIVE", "native ", "x86-64", "x86-64-v5", "-O0", "naïve", "x" * 1000])
def test_an_unknown_level_is_one_line_naming_the_known(monkeypatch, empty_cache, value):
    monkeypatch.setenv("STEERGAN_MARCH", value)
    result = CliRunner().invoke(main, ["build", "--device=cpu"])
    assert result.exit_code == 2
    (line,) = result.output.strip().splitlines()
    assert "STEERGAN_MARCH" in line
    assert "set it to one of native, x86-64-v2, x86-64-v3, x86-64-v4" in line
    assert len(line) < 250
    assert not empty_cache.exists()


def test_an_unknown_level_loads_nothing_although_there_is_a_library(monkeypatch):
    assert finished("cpu") is not None, "no native operators; see: python -m torch_utils.ops doctor"
    monkeypatch.setenv("STEERGAN_MARCH", "skylake")
    monkeypatch.setattr(loader, "_loaded", {})
    with pytest.warns(UserWarning, match="'skylake' is no build level") as caught:
        assert not loader.is_loaded("cpu")
    assert len(caught) == 1


def test_a_level_that_this_processor_lacks_is_refused(monkeypatch, processor):
    processor(AVX2)
    monkeypatch.setenv("STEERGAN_MARCH", "x86-64-v4")
    with pytest.raises(ToolError, match=r"lacks what STEERGAN_MARCH=x86-64-v4 needs: avx512bw .*avx512vl$") as refusal:
        levels.asked()
    assert refusal.value.cure == "set it to native, x86-64-v3, x86-64-v2"


def test_where_the_system_does_not_tell_only_native_is_offered(processor):
    processor([])
    assert levels.usable() == ["native"]


def test_a_compiler_too_old_for_a_level(monkeypatch, processor):
    processor(AVX2)
    monkeypatch.setenv("STEERGAN_MARCH", "x86-64-v3")
    monkeypatch.setattr(toolchain, "_compiles", lambda compiler, flag: "x86-64" not in flag)
    with pytest.raises(ToolError, match="does not take -march=x86-64-v3"):
        toolchain.accepted_flags("an old one", "x86-64-v3")


def test_the_doctor_shows_the_level(monkeypatch, empty_cache, processor):
    processor(AVX2)
    monkeypatch.setenv("STEERGAN_MARCH", "x86-64-v3")
    output = CliRunner().invoke(main, ["doctor"]).output
    assert "level        x86-64-v3 (STEERGAN_MARCH; here: native, x86-64-v3, x86-64-v2)\n" in output
    assert "-march=x86-64-v3 -fopenmp" in output
    monkeypatch.delenv("STEERGAN_MARCH")
    assert "level        native (STEERGAN_MARCH is not set" in CliRunner().invoke(main, ["doctor"]).output


@pytest.mark.slow
def test_a_library_of_an_older_level_computes_the_same(tmp_path):
    environment = os.environ | {"STEERGAN_MARCH": "x86-64-v2", "STEERGAN_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SAME], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=True
    )
    folder, difference = done.stdout.split()
    assert folder.startswith(slot_prefix("cpu", "x86-64-v2"))
    assert float(difference) < 1e-5
