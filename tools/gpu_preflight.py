"""Says whether this Python can run `make gpu-check`: the packages it needs, and a CUDA device for torch.

Needs nothing but the standard library itself. Exit status 0 when all is there, otherwise 2 after one line.
"""

import importlib.util
import sys

# Import name: package name. What tests and benchmarks import; the rest of pyproject.toml is optional here.
NEEDED = {
    "PIL": "pillow",
    "click": "click",
    "hypothesis": "hypothesis",
    "numpy": "numpy",
    "pydantic": "pydantic",
    "pytest": "pytest",
    "requests": "requests",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "torch": "torch",
    "tqdm": "tqdm",
    "yaml": "pyyaml",
}

ANOTHER = "install what is missing, or name another Python with PYTHON=..."


def missing_packages() -> list[str]:
    """Names of the needed packages that this Python cannot find, for pip."""
    return [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]


def obstacle() -> str | None:
    """One line saying what keeps the GPU checks from running here, or None."""
    missing = missing_packages()
    if missing:
        return f"{sys.executable} lacks these packages: {' '.join(missing)}; {ANOTHER}"
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} of {sys.executable} is built without CUDA; {ANOTHER}"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} finds no CUDA device; see nvidia-smi"
    print(f"gpu-check: torch {torch.__version__} on {torch.cuda.get_device_name()}")
    return None


if __name__ == "__main__":
    line = obstacle()
    if line is not None:
        print(f"gpu-check: {line}", file=sys.stderr)
        sys.exit(2)
