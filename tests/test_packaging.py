"""The wheel: the commands, the configurations, and nothing of the tests."""

import configparser
import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "steergan-train": "train:main",
    "steergan-generate": "generate:main",
    "steergan-metrics": "calc_metrics:main",
    "steergan-data": "dataset_tool:main",
    "steergan-visualize": "visualize:main",
    "steergan-convert": "convert:main",
    "steergan-edit": "edit:main",
    "steergan-projector": "projector:main",
    "steergan-style-mixing": "style_mixing:main",
}


def modules_with_commands() -> list[str]:
    """Those of benchmarks and experiments that are called by python -m."""
    files = [path for folder in ("benchmarks", "experiments") for path in sorted((ROOT / folder).glob("*.py"))]
    return [f"{path.parent.name}.{path.stem}" for path in files
            if any(word in path.read_text(encoding="utf-8") for word in ("click.command", "@benchmark("))]  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built of a copy, so that nothing is left in the checkout, and without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("no git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if not name.startswith(("tests/", "docs/", "benchmarks/")) and (ROOT / name).is_file():
            (folder / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "copy" / name).write_bytes((ROOT / name).read_bytes())
    how = ["--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", str(folder), str(folder / "copy")]
    done = subprocess.run([sys.executable, "-m", "pip", "wheel", *how], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("steergan-*.whl")
    return zipfile.ZipFile(path)


@pytest.mark.slow
def test_a_wheel_has_the_commands_and_what_they_need(wheel: zipfile.ZipFile):
    names = set(wheel.namelist())
    (entry_points,) = (name for name in names if name.endswith("dist-info/entry_points.txt"))
    parser = configparser.ConfigParser()
    parser.read_string(wheel.read(entry_points).decode())
    assert dict(parser["console_scripts"]) == COMMANDS
    assert {f"{target.partition(':')[0]}.py" for target in COMMANDS.values()} <= names
    assert {"configs/demo.yaml", "configs/methods/spatialgan.yaml", "training/loop.py"} <= names
    assert {"metrics/registry.py", "interop/readers.py"} <= names
    assert {"editing/page/index.html", "editing/page/main.js", "editing/page/style.css"} <= names
    assert any(name.startswith("torch_utils/native/csrc/") for name in names)
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)


@pytest.mark.parametrize("target", COMMANDS.values())
def test_every_command_is_there(target: str):
    module, _, name = target.partition(":")
    assert isinstance(getattr(importlib.import_module(module), name), click.Command)


SCRIPTS = [*(target.partition(":")[0] for target in COMMANDS.values()), "demo", *modules_with_commands()]


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_needs_none_of_the_slow_packages(script: str):
    code = f"import sys, {script}; print([m for m in ('torch', 'scipy', 'matplotlib', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
