"""Says whether this Python can run `make gpu-check`, and fills build/gpu-packages with what it lacks.

    python tools/gpu_preflight.py [--wheels FOLDER]

--wheels: every wheel in FOLDER is unpacked there; nothing is fetched. Where pydantic is missing even so, a stand-in
that checks no values takes its place (tools/stand_ins/pydantic.py): the checks run, training does not.
Needs nothing but the standard library itself. Exit status 0 when all is there, otherwise 2 after one line.
"""

import argparse
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ROOT / "build" / "gpu-packages"  # on PYTHONPATH in every step of gpu-check
STAND_INS = ROOT / "tools" / "stand_ins"

# Import name: package name. What tests and benchmarks import; the rest of pyproject.toml is optional here.
NEEDED = {
    "PIL": "pillow",
    "click": "click",
    "hypothesis": "hypothesis",
    "numpy": "numpy",
    "pytest": "pytest",
    "requests": "requests",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "torch": "torch",
    "tqdm": "tqdm",
    "yaml": "pyyaml",
}

UNPACK_LIMIT = 1800  # seconds; torch's wheels are gigabytes
ANOTHER = "give their wheels by WHEELS=folder, install them, or name another Python with PYTHON=..."


def is_here(module: str) -> bool:
    """Whether this Python finds a module of that name."""
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False


def missing_packages() -> list[str]:
    """Names of the needed packages that this Python cannot find, for pip."""
    return [package for module, package in NEEDED.items() if not is_here(module)]


def unpack(wheels: Path) -> str | None:
    """Install every wheel of a folder into PACKAGES; one line where that fails."""
    files = sorted(map(str, wheels.glob("*.whl")))
    if not files:
        return f"WHEELS={wheels}: no .whl file there"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(PACKAGES)]
    try:
        done = subprocess.run([*command, *files], capture_output=True, text=True, timeout=UNPACK_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return f"WHEELS={wheels}: pip has not unpacked them within {UNPACK_LIMIT} s"
    last = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
    return None if done.returncode == 0 else f"WHEELS={wheels}: {last}"


def fill(wheels: Path | None) -> str | None:
    """Make PACKAGES anew; one line where that fails."""
    shutil.rmtree(PACKAGES, ignore_errors=True)
    PACKAGES.mkdir(parents=True)
    complaint = None if wheels is None else unpack(wheels)
    sys.path.insert(0, str(PACKAGES))
    importlib.invalidate_caches()
    if complaint is None and not is_here("pydantic"):
        shutil.copy(STAND_INS / "pydantic.py", PACKAGES)
        print("gpu-check: no pydantic; configurations are taken unchecked (WHEELS=folder brings it)")
    return complaint


def obstacle(wheels: Path | None) -> str | None:
    """One line saying what keeps the GPU checks from running here, or None."""
    complaint = fill(wheels)
    if complaint is not None:
        return complaint
    missing = missing_packages()
    if missing:
        return f"{sys.executable} lacks these packages: {' '.join(missing)}; {ANOTHER}"
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} of {sys.executable} is built without CUDA; name another with PYTHON=..."
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} finds no CUDA device; see nvidia-smi"
    print(f"gpu-check: torch {torch.__version__} on {torch.cuda.get_device_name()}")
    return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="wheels of packages that this Python lacks")
    line = obstacle(parser.parse_args().wheels)
    if line is not None:
        print(f"gpu-check: {line}", file=sys.stderr)
        sys.exit(2)
