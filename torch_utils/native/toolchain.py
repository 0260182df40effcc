"""What there is to compile with: compilers, their versions, CUDA, architectures, flags."""

import hashlib
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch

from torch_utils.native import levels
from torch_utils.native.errors import ToolError

__all__ = ["Device", "ToolError", "Toolchain", "digest", "find", "runtime_digest"]

Device = Literal["cpu", "cuda"]

ANSWER_LIMIT = 20  # seconds that a compiler gets to tell its version

# Each is used where the compiler takes it. Results do not depend on the order of sums: no fast-math.
WISHED_FLAGS = ("-fopenmp", "-fno-math-errno", "-fno-trapping-math")
CUDA_FLAGS = ("-O3", "-DSTEERGAN_CUDA")


@dataclass(frozen=True)
class Toolchain:
    """Everything that a build depends on, besides the sources."""

    device: Device
    torch: str
    compiler: str  # path
    compiler_version: str
    flags: tuple[str, ...]
    level: str  # one of levels.LEVELS
    cuda: str | None = None  # the version torch was built with; None for "cpu"
    nvcc: str | None = None
    nvcc_version: str | None = None
    architectures: tuple[str, ...] = ()


def find(device: Device) -> Toolchain:
    """Look around. Raises ToolError when something is missing or does not answer."""
    level = levels.asked() or levels.NATIVE
    compiler = find_compiler()
    common: dict[str, Any] = {
        "device": device,
        "torch": torch.__version__,
        "compiler": compiler,
        "compiler_version": version_of(compiler),
        "flags": accepted_flags(compiler, level),
        "level": level,
    }
    if device == "cpu":
        return Toolchain(**common)
    nvcc = find_nvcc()
    return Toolchain(
        **common,
        cuda=torch.version.cuda,
        nvcc=nvcc,
        nvcc_version=nvcc_version(nvcc),
        architectures=gpu_architectures(),
    )


def find_compiler() -> str:
    """Path of the C++ compiler that torch would use: the environment's CXX, else c++."""
    name = os.environ.get("CXX", "c++")
    found = shutil.which(name)
    if found is None:
        raise ToolError(
            f"no C++ compiler: '{name}' is not on PATH",
            "install one (Debian, Ubuntu: apt-get install g++; conda: conda install gxx) or set CXX",
        )
    return found


def find_nvcc() -> str:
    """Path of nvcc: below CUDA_HOME, else on PATH, else in the usual place."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    places = [Path(home, "bin", "nvcc")] if home else [shutil.which("nvcc"), "/usr/local/cuda/bin/nvcc"]
    for place in places:
        if place is not None and os.access(place, os.X_OK):
            return str(_behind_wrappers(place))
    raise ToolError(
        "no CUDA compiler: nvcc is not on PATH and CUDA_HOME does not lead to it",
        f"install the CUDA toolkit {torch.version.cuda or ''} and set CUDA_HOME to it",
    )


def _behind_wrappers(nvcc: str | Path) -> Path:
    """The nvcc of the toolkit itself, whose headers lie beside it: scripts and links elsewhere stand for one."""
    command = [nvcc, "--dryrun", "-x", "cu", "-E", os.devnull]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=ANSWER_LIMIT, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return Path(nvcc)  # nvcc_version says what is wrong with it
    tops = [line.partition("TOP=")[2].strip() for line in _text(done.stderr).splitlines() if line.startswith("#$ TOP=")]
    found = Path(tops[0], "bin", "nvcc").resolve() if tops else Path(nvcc)
    return found if os.access(found, os.X_OK) else Path(nvcc)


def version_of(compiler: str) -> str:
    """First line of what a compiler says about itself. Raises ToolError when it says nothing, or not in time."""
    lines = _ask([compiler, "--version"]).splitlines()
    if not lines:
        raise ToolError(f"{compiler} --version prints nothing", "reinstall that compiler, or set CXX to another")
    return lines[0]


def nvcc_version(nvcc: str) -> str:
    """Such as "13.0". Raises ToolError when this is no nvcc, or of another major version than torch's CUDA."""
    words = _ask([nvcc, "--version"]).replace(",", " ").split()
    if "release" not in words[:-1]:
        raise ToolError(
            f"{nvcc} is no working nvcc: --version does not name a release",
            "install the CUDA toolkit and set CUDA_HOME to it",
        )
    version, wanted = words[words.index("release") + 1], torch.version.cuda
    if wanted is not None and version.split(".")[0] != wanted.split(".")[0]:
        raise ToolError(
            f"{nvcc} is of CUDA {version}, but torch {torch.__version__} of CUDA {wanted}",
            f"install the CUDA toolkit {wanted} and set CUDA_HOME to it",
        )
    return version


@cache
def accepted_flags(compiler: str, level: str = levels.NATIVE) -> tuple[str, ...]:
    """Those of the level's flags and of WISHED_FLAGS that the compiler takes.

    Raises ToolError when it does not know a level other than "native": that one is only the fastest, not a promise.
    """
    accepted = ("-O3", *(flag for flag in (*levels.flags(level), *WISHED_FLAGS) if _compiles(compiler, flag)))
    if level != levels.NATIVE and f"-march={level}" not in accepted:
        raise ToolError(
            f"{compiler} does not take -march={level}", f"GCC 11 or Clang 12 does; or unset {levels.VARIABLE}"
        )
    return accepted


def _compiles(compiler: str, flag: str) -> bool:
    try:
        _ask([compiler, flag, "-Werror", "-fsyntax-only", "-x", "c++", os.devnull])
    except ToolError:
        return False
    return True


def _ask(command: list[str]) -> str:
    """Output of a short command. Raises ToolError when it fails or takes longer than ANSWER_LIMIT."""
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=ANSWER_LIMIT, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"{command[0]} hangs: no answer in {ANSWER_LIMIT} s", "repair or replace it") from None
    except OSError as error:
        raise ToolError(f"{command[0]} does not start: {error.strerror}", "repair or replace it") from None
    if done.returncode != 0:
        raise ToolError(f"{' '.join(command[:2])} fails with status {done.returncode}", "repair or replace it")
    return _text(done.stdout)


def _text(output: bytes) -> str:
    """What a compiler says, in no language's encoding in particular."""
    return output.decode(errors="backslashreplace")


def processor(level: str) -> str:
    """Digest of the processors that run a library of this level.

    A library built with -march=native runs on none that lacks one of this one's instruction sets.
    """
    needs = levels.feature_line() if level == levels.NATIVE else level
    return digest(platform.system(), platform.machine(), needs)


def gpu_architectures() -> tuple[str, ...]:
    """Those of the GPUs here, such as "9.0". STEERGAN_CUDA_ARCH_LIST names others.

    Images set TORCH_CUDA_ARCH_LIST to all that there are, at a minute of compiling each: it counts without a GPU only.
    """
    ours = os.environ.get("STEERGAN_CUDA_ARCH_LIST")
    if ours:
        return _listed(ours)
    found = {torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}
    if not found:
        return _listed(os.environ.get("TORCH_CUDA_ARCH_LIST", ""))
    return tuple(f"{major}.{minor}" for major, minor in sorted(found))


def _listed(architectures: str) -> tuple[str, ...]:
    return tuple(architectures.replace(";", " ").replace(",", " ").split())


def runtime_digest(device: Device, level: str) -> str:
    """Of what a finished library needs to run: torch, the processor, and for GPUs CUDA and their kind."""
    on_gpu = (torch.version.cuda, gpu_architectures()) if device == "cuda" else ()
    return digest(device, torch.__version__, processor(level), *on_gpu)


def digest(*parts: object) -> str:
    """16 hexadecimal digits that change with any of the parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
