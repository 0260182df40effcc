"""Memory kept in the process: fewer page faults for the same work."""

import subprocess
import sys

import pytest

WORK = """
import resource, sys, torch
from torch_utils.allocator import keep_memory, return_memory

torch.set_num_threads(1)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.empty(16_000_000).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults())
if not (keep_memory() and return_memory()):
    sys.exit(3)
print(faults())
keep_memory()
print(faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_kept_memory_is_not_mapped_anew():
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("this C library has no mallopt")
    assert done.returncode == 0, done.stderr
    plain, returned, kept = map(int, done.stdout.split())
    assert kept < plain
    assert kept < returned
