"""That `make gpu-check` starts on a GPU machine with little on it, shown without one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness.report import read_report

ROOT = Path(__file__).parents[1]
LIMIT = re.compile(r"kill-after=10 (\d+)")
ABSENT = ("pydantic", "lmdb", "torch_fidelity", "pyspng", "imageio_ffmpeg", "starlette", "uvicorn", "websockets",
          "playwright")  # fmt: skip

# Python's start-up imports a module of this name from PYTHONPATH: so the packages are hidden in every process.
HIDE = f"""
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hide())
"""


@pytest.fixture
def bare(tmp_path):
    """The environment of a Python without those packages."""
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    return os.environ | {"PYTHONPATH": str(tmp_path)}


def run(command: list, environment: dict) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def gpu_files() -> list[str]:
    """Those that `make gpu-check-tests` names."""
    words = run(["make", "-n", "gpu-check-tests"], dict(os.environ)).stdout.split()
    return [word for word in words if word.startswith("tests/")]


def collected(environment: dict) -> set[str]:
    options = ["-q", "--collect-only", "-m", "gpu", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, *gpu_files()]
    done = run(command, environment)
    assert done.returncode == 0, done.stdout[-3000:]
    return {line for line in done.stdout.splitlines() if "::" in line}


def test_packages_are_hidden(bare):
    done = run([sys.executable, "-c", "import pydantic"], bare)
    assert "No module named 'pydantic'" in done.stderr


def test_reports_of_benchmarks_are_written_with_the_stand_in(bare, tmp_path):
    code = f"""
from pathlib import Path
from tests.pydantic_or_stand_in import load_stand_in
load_stand_in()
from benchmarks.harness.report import read_report, write_report
from tests.benchmarks.reports import around, make_report
report = make_report({{"a": {{"G_main": around(2.0)}}, "b": {{"G_main": around(1.0)}}}}, [("a", "b")])
write_report(Path({str(tmp_path / "report.json")!r}), report)
assert read_report(Path({str(tmp_path / "report.json")!r})) == report
"""
    done = run([sys.executable, "-c", code], bare)
    assert done.returncode == 0, done.stderr
    report = read_report(tmp_path / "report.json")  # by pydantic, which looks at everything
    assert report.ratios["a to b"]["G_main"].median == pytest.approx(2.0)


def test_files_with_gpu_tests_are_named():
    marked = [path for path in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in path.read_text(encoding="utf-8")]
    named = {str(path.relative_to(ROOT)) for path in marked if path != Path(__file__).resolve()}
    assert named <= set(gpu_files())
    assert len(named) > 5


@pytest.mark.slow
def test_every_gpu_test_is_collected_without_the_packages(bare):
    without = collected(bare)
    assert without == collected(dict(os.environ))
    assert len(without) > 290


def test_preflight_names_the_one_thing_that_is_missing_here(bare, tmp_path):
    """No package: torch's CUDA."""
    done = run([sys.executable, "tools/gpu_preflight.py"], bare)
    lines = done.stderr.strip().splitlines()
    assert (done.returncode, len(lines)) in ((0, 0), (2, 1))
    assert all("CUDA" in line and "lacks" not in line for line in lines)
    assert "no pydantic" in done.stdout


@pytest.mark.slow
def test_configurations_of_the_stand_in_are_those_of_pydantic(bare):
    """All bases and methods, as they are written to a run directory."""
    code = """
import json, sys
if "pydantic" not in sys.argv[1:]:
    from tests.pydantic_or_stand_in import load_stand_in
    load_stand_in()
from training.presets.resolve import DataFacts, Options, resolve
facts = DataFacts("x", 256, 3, 1000)
for cfg in ("auto", "paper256", "stylegan2"):
    for method in ("spatialgan", "stylegan2", "spatialgan-indoor"):
        config = resolve(Options(data="x", cfg=cfg, method=method, settings=("loss.pl_weight=1",)), facts)
        again = type(config).model_validate_json(config.model_dump_json())
        assert again == config
        print(json.dumps(config.model_dump(mode="json")))
"""
    plain = run([sys.executable, "-c", code], bare)
    full = run([sys.executable, "-c", code, "pydantic"], dict(os.environ))
    assert (plain.returncode, full.returncode) == (0, 0), plain.stderr + full.stderr
    plain, full = ([json.loads(line) for line in done.stdout.splitlines()] for done in (plain, full))
    assert plain == full
    assert len(plain) == 9


@pytest.mark.parametrize("part", ["build", "tests", "ops", "bench", "sanitizer"])
def test_each_part_is_limited_to_ten_minutes(part):
    commands = run(["make", "-n", f"gpu-check-{part}"], dict(os.environ)).stdout
    assert 500 < sum(map(int, LIMIT.findall(commands))) <= 600


def test_the_sanitizer_sees_every_allocation():
    text = run(["make", "-n", "gpu-check-sanitizer"], dict(os.environ)).stdout
    assert "PYTORCH_NO_CUDA_MEMORY_CACHING=1" in text
    assert "--report-api-errors no" in text
