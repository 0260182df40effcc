"""Reads thousands of damaged copies of a pickle in a process that notices everything that it should not do.

    python -m tests.interop.fuzz_pickles FILE COUNT FOLDER [SEED]

Prints a JSON object: how many were "refused" in one line, how many "read" (damage to numbers is read as numbers), what
was "done" that should not be, which files were "left", the memory that all took in addition, in bytes, and the longest
time of one, in seconds.
"""

import json
import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path

from dnnlib.errors import CUT, UserError
from interop.pickles.reference_networks import read_reference
from tests.watching import CODE, DEEDS, Watch, files_below

OPCODES = bytes.fromhex("8028295d7d2e52626369516f8182848a8b8c8d8e9293949597747573657172686a304eff")


def mutated(data: bytes, stream: random.Random) -> bytes:
    """A copy with one to eight places changed: bytes, opcodes, pieces removed, doubled, swapped, or the end cut off."""
    found = bytearray(data)
    for _ in range(stream.choice((1, 1, 1, 2, 4, 8))):
        kind, at = stream.randrange(7), stream.randrange(len(found))
        length = stream.choice((1, 2, 4, 16, 300))
        if kind == 0:
            found[at] = stream.randrange(256)
        elif kind == 1:
            found[at] = stream.choice(OPCODES)
        elif kind == 2:
            found[at] ^= 1 << stream.randrange(8)
        elif kind == 3:
            del found[at : at + length]
        elif kind == 4:
            found[at:at] = found[at : at + length]
        elif kind == 5:
            other = stream.randrange(len(found))
            found[at : at + length] = found[other : other + length]
        elif len(found) > 2:
            del found[stream.randrange(2, len(found)) :]
        if not found:
            return b"\x80"
    return bytes(found)


def read(path: Path) -> str:
    """ "read", "refused", or what went wrong."""
    try:
        read_reference(path)
    except UserError as error:
        said = str(error)
        return "refused" if said.isprintable() and len(said) <= CUT + len(str(path)) else "a message that is no line"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
    return "read"


def main(file: str, count: str, folder: str, seed: str = "0") -> None:
    data, path, stream = Path(file).read_bytes(), Path(folder) / "network.pkl", random.Random(int(seed))
    path.write_bytes(data)
    assert read(path) == "read"  # imports what is imported late
    watch, ends, longest, before = Watch(DEEDS + CODE), Counter(), 0.0, files_below(Path(folder)).keys()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(int(count)):
        path.write_bytes(mutated(data, stream))
        start = time.perf_counter()
        with watch.watching():
            ends[read(path)] += 1
        longest = max(longest, time.perf_counter() - start)
    left = [str(new) for new in files_below(Path(folder)).keys() - before]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * 1024
    print(json.dumps({"ends": ends, "done": watch.taken(), "left": left, "grown": grown, "longest": longest}))


if __name__ == "__main__":
    main(*sys.argv[1:])
