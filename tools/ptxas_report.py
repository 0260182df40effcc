"""Reads what `nvcc -Xptxas -v` says (names demangled) from standard input; prints the hot kernels' registers.

Hot are the kernels of float, half and bfloat16 that move packs of numbers and know their activation (linear, lrelu)
or their resampling factors when they are compiled. Exit status 1 when one of them spills registers to memory, or
when there is none. Needs nothing but the standard library.
"""

import re
import sys
from collections import defaultdict
from typing import NamedTuple

KERNEL = re.compile(
    r"Compiling entry function '(?P<name>.+?)' for '(?P<arch>sm_\d+)'"
    r".*?(?P<spilled>\d+) bytes spill stores"
    r".*?Used (?P<registers>\d+) registers",
    re.DOTALL,
)
HOT = re.compile(
    r"(?P<kernel>resample)<[48], (?P<what>[12], [12], 4), \d, (?!double)"
    r"|(?P<walk>along_\w+)<[48], .*?(?P<step>Forward|FirstOrder|SecondOrder)<(?:\w+, )?"
    r"\(steergan::Kind\)[01], (?!double)"
)


class Kernel(NamedTuple):
    """One kernel for one architecture."""

    name: str
    arch: str
    registers: int
    spilled: int  # bytes

    @property
    def family(self) -> str | None:
        """What it is called in the report; None when it is not hot."""
        hot = HOT.search(self.name)
        return hot and " ".join(part for part in hot.group("kernel", "what", "walk", "step") if part)


def kernels(log: str) -> list[Kernel]:
    """All kernels that the log tells of."""
    return [
        Kernel(m["name"], m["arch"], int(m["registers"]), int(m["spilled"])) for m in KERNEL.finditer(log)
    ]


def report(found: list[Kernel]) -> tuple[list[str], bool]:
    """Lines to print, and whether all is well."""
    families = defaultdict(list)
    for kernel in found:
        if kernel.family:
            families[kernel.arch, kernel.family].append(kernel)
    lines = [
        f"  {arch}  {family:30} {len(each):3} kernels, {min(k.registers for k in each)} to "
        f"{max(k.registers for k in each)} registers, {sum(k.spilled for k in each)} bytes spilled"
        for (arch, family), each in sorted(families.items())
    ]
    spilling = [k for each in families.values() for k in each if k.spilled]
    lines += [f"  spills {k.spilled} bytes: {k.name} for {k.arch}" for k in spilling]
    lines += [] if families else ["  no hot kernels found in nvcc's output"]
    return lines, bool(families) and not spilling


if __name__ == "__main__":
    lines, well = report(kernels(sys.stdin.read()))
    print("\n".join(lines))
    sys.exit(0 if well else 1)
