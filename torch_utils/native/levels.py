"""For which processors the operators are compiled: this one, or every one of an x86-64 level (STEERGAN_MARCH)."""

import os
import platform
from functools import cache
from pathlib import Path

from torch_utils.native.errors import ToolError

VARIABLE = "STEERGAN_MARCH"
NATIVE = "native"

# What each level adds to the one before (x86-64 psABI), as /proc/cpuinfo names it: pni is SSE3, abm has lzcnt.
_ADDED = {
    "x86-64-v2": "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3",
    "x86-64-v3": "abm avx avx2 bmi1 bmi2 f16c fma movbe xsave",
    "x86-64-v4": "avx512f avx512bw avx512cd avx512dq avx512vl",
}
LEVELS = (NATIVE, *_ADDED)


def asked() -> str | None:
    """The level that STEERGAN_MARCH asks for; None where it is not set.

    Raises ToolError when there is no such level, or when this processor does not run it.
    """
    level = os.environ.get(VARIABLE)
    if not level:
        return None
    if level not in LEVELS:
        raise ToolError(f"{VARIABLE}={level!r:.60} is no build level", f"set it to one of {', '.join(LEVELS)}")
    lacking = required(level) - features()
    if lacking:
        raise ToolError(
            f"this processor lacks what {VARIABLE}={level} needs: {' '.join(sorted(lacking))}",
            f"set it to {', '.join(usable()) or NATIVE}",
        )
    return level


def usable() -> list[str]:
    """All levels that run here, the one with most instructions first."""
    return [level for level in (NATIVE, *reversed(_ADDED)) if required(level) <= features()]


def required(level: str) -> frozenset[str]:
    """Instruction sets that a level needs, as /proc/cpuinfo names them; none for "native"."""
    names = () if level == NATIVE else LEVELS[1 : LEVELS.index(level) + 1]
    return frozenset(" ".join(_ADDED[name] for name in names).split())


def flags(level: str) -> tuple[str, ...]:
    """Compiler flags of a level; vectors of 512 bits where it may have them."""
    wide = ("-mprefer-vector-width=512",) if level in (NATIVE, "x86-64-v4") else ()
    return (f"-march={level}", *wide)


@cache
def features() -> frozenset[str]:
    """The processor's instruction sets, where Linux tells; empty elsewhere, where only "native" is offered."""
    return frozenset(feature_line().partition(":")[2].split())


@cache
def feature_line() -> str:
    """The line of /proc/cpuinfo that names the instruction sets; elsewhere, what there is in its place."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(errors="replace").splitlines() if info.exists() else [platform.processor()]
    return next((line for line in lines if line.startswith(("flags", "Features"))), "".join(lines[:1]))
