"""What the native operators need, what of it is here, and what to do about the rest."""

import platform
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.utils import cpp_extension

from torch_utils.native import levels, toolchain
from torch_utils.native.build import time_limit
from torch_utils.native.cache import Slot, cache_dir, finished
from torch_utils.native.toolchain import Device, ToolError


class Finding(NamedTuple):
    """One line of the report; `cure` says what to do when it is not well."""

    what: str
    state: str
    cure: str | None = None


def devices() -> list[Device]:
    """Those that this torch can compute on here."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def examine() -> list[Finding]:
    """All findings, for the devices here."""
    findings = [
        Finding("torch", f"{torch.__version__} (CUDA {torch.version.cuda or 'none'})"),
        Finding("processor", f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"),
        _asked("level", _level),
        _asked("cache", lambda: str(cache_dir())),
        _asked("time limit", lambda: f"{time_limit():g} s for a build"),
    ]
    for device in devices():
        findings += _tools(device)
        findings.append(_library(device))
    return findings


def _tools(device: Device) -> Iterator[Finding]:
    if device == "cpu":
        yield _asked("compiler", lambda: _named(toolchain.find_compiler(), toolchain.version_of))
        yield _asked("flags", lambda: " ".join(toolchain.accepted_flags(toolchain.find_compiler(), _wanted())))
        yield _asked("ninja", _ninja)
    else:
        yield _asked("nvcc", lambda: _named(toolchain.find_nvcc(), toolchain.nvcc_version))
        yield Finding("GPUs", f"{torch.cuda.get_device_name()}, architectures {toolchain.gpu_architectures()}")


def _level() -> str:
    chosen = levels.asked()
    source = f"{levels.VARIABLE} is not set" if chosen is None else levels.VARIABLE
    return f"{chosen or levels.NATIVE} ({source}; here: {', '.join(levels.usable())})"


def _wanted() -> str:
    return levels.asked() or levels.NATIVE


def _named(path: str, version) -> str:
    return f"{path}: {version(path)}"


def _ninja() -> str:
    if not cpp_extension.is_ninja_available():
        raise ToolError("not found", "pip install ninja")
    return "found"


def _asked(what: str, answer) -> Finding:
    try:
        return Finding(what, answer())
    except ToolError as error:
        return Finding(what, error.cause, error.cure)


def _library(device: Device) -> Finding:
    what = f"{device} library"
    build = "run: python -m torch_utils.ops build"
    try:
        done = finished(device)
        if done is not None:
            return Finding(what, str(done))
    except ToolError as error:
        return Finding(what, error.cause, error.cure)
    try:
        slot = Slot.of(toolchain.find(device))
    except ToolError:
        return Finding(what, "not built; something it needs is missing", f"see above, then {build}")
    try:
        slot.check()
    except ToolError as error:
        return Finding(what, error.cause, error.cure)
    failure = slot.recent_failure()
    if failure is not None:
        return Finding(what, f"the last build failed: {failure}", f"once that is repaired, {build}")
    state = "damaged" if slot.library.exists() else "not built yet"
    return Finding(what, f"{state}; the first use builds it, or {build}")
