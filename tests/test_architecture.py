"""The house rules that a program can check: imports run downwards, without circles, and no machine is named."""

import ast
import re
import subprocess
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[1]

# Each package may import from those named here (and from itself).
ALLOWED = {
    "dnnlib": set(),
    "torch_utils": {"dnnlib"},
    "training": {"dnnlib", "torch_utils"},
    "metrics": {"dnnlib", "torch_utils", "training"},
    "interop": {"dnnlib", "torch_utils", "training"},
    "editing": {"dnnlib", "torch_utils", "training", "interop"},
    "benchmarks": {"dnnlib", "torch_utils", "training", "metrics", "interop", "editing"},
    "experiments": {"dnnlib", "torch_utils", "training", "metrics", "interop", "editing", "benchmarks"},
}
TOOLS = {"tests", "tools", "demo", "train", "generate", "calc_metrics", "dataset_tool", "edit", "convert", "visualize"}

MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(?:home|root|work|Users|mnt|scratch)/\w[\w./-]*")


@cache
def modules() -> dict[str, Path]:
    """{dotted name: file} of the packages' modules."""
    files = [path for package in ALLOWED for path in sorted((ROOT / package).rglob("*.py"))]
    return {dotted(path): path for path in files}


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(module: str) -> frozenset[str]:
    """Names of the modules that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively; write the full name"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in modules() else node.module for name in inner}
    return frozenset(found)


def top(name: str) -> str:
    return name.split(".")[0]


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_run_downwards(package: str):
    wrong = {
        (module, name)
        for module in modules()
        if top(module) == package
        for name in imports(module)
        if top(name) in (ALLOWED.keys() | TOOLS) - ALLOWED[package] - {package}
    }
    assert wrong == set()


def test_no_import_circles():
    graph = {module: {name for name in imports(module) if name in modules()} - {module} for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
        circle = []
    except CycleError as error:
        circle = error.args[1]
    assert circle == []


def test_dnnlib_knows_no_torch():
    wrong = {(m, name) for m in modules() if top(m) == "dnnlib" for name in imports(m) if top(name).startswith("torch")}
    assert wrong == set()


def test_packages_are_there():
    assert {"dnnlib", "torch_utils", "training"} <= {top(module) for module in modules()}


# ---- no machine is named


def tracked_files() -> list[Path]:
    """What git tracks; outside a checkout, every file but those of caches and environments."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    hidden = re.compile(r"(^|/)\.(?!ci)|__pycache__")
    return [p for p in ROOT.rglob("*") if p.is_file() and not hidden.search(p.relative_to(ROOT).as_posix())]


def test_no_file_names_a_path_of_some_machine():
    found = {}
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # pictures and arrays
        hits = MACHINE_PATH.findall(text)
        if hits:
            found[path.relative_to(ROOT).as_posix()] = hits
    assert found == {}


@pytest.mark.parametrize(
    "text, is_machine_path",
    [
        ("/" + "home/someone/data", True),
        ("open('/" + "work/data.zip')", True),
        ("https://example.org/home/page", False),
        ("~/data and $HOME/work/x and runs/work/00000", False),
    ],
)
def test_machine_paths_are_recognised(text: str, is_machine_path: bool):
    assert bool(MACHINE_PATH.search(text)) == is_machine_path


# ---- sizes


def functions() -> dict[str, int]:
    """{function: lines} of the packages."""
    found = {}
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[f"{module}:{node.lineno} {node.name}"] = node.end_lineno - node.lineno + 1
    return found


def test_functions_are_short():
    lengths = functions()
    assert {name: length for name, length in lengths.items() if length > 60} == {}
    assert median(lengths.values()) <= 7


def test_files_are_short():
    sources = [*modules().values(), *(ROOT / "torch_utils/native/csrc").iterdir()]
    long = [path for path in sources if len(path.read_text(encoding="utf-8").splitlines()) > 400]
    assert long == []


def test_lines_of_native_code_are_short():
    for path in (ROOT / "torch_utils/native/csrc").iterdir():
        assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 120, path


def test_training_has_few_files_beside_its_packages():
    assert len([path for path in (ROOT / "training").glob("*.py") if path.stem != "__init__"]) <= 12


# ---- a page at the door of every package


LARGE_PACKAGES = sorted(
    {path.parent for path in modules().values() if len(list(path.parent.glob("*.py"))) > 5} - {ROOT},
)


@pytest.mark.parametrize("package", LARGE_PACKAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_page_at_the_door_names_what_is_inside(package: Path):
    page = (package / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w./]+\.py)`", page))
    assert [name for name in named if not (package / name).exists()] == []
    inside = {path.name for path in package.glob("*.py")} - {"__init__.py", "__main__.py"}
    if package != ROOT / "benchmarks":  # its page is about what is measured
        assert inside - named == set()
