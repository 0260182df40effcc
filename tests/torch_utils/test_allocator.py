"""Memory kept in the process: fewer page faults for the same work."""

import subprocess
import sys

import pytest

WORK = """
import resource, sys, torch
from torch_utils.allocator import keep_memory, return_memory
if sys.argv[1] != "plain" and not keep_memory():
    sys.exit(3)
if sys.argv[1] == "return" and not return_memory():
    sys.exit(3)
torch.set_num_threads(1)
for _ in range(20):
    torch.empty(16_000_000).fill_(1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_kept_memory_is_not_mapped_anew():
    faults = {}
    for mode in ("plain", "keep", "return"):
        done = subprocess.run([sys.executable, "-c", WORK, mode], capture_output=True, text=True, check=False)
        if done.returncode == 3:
            pytest.skip("this C library has no mallopt")
        assert done.returncode == 0, done.stderr
        faults[mode] = int(done.stdout)
    assert faults["keep"] < faults["plain"]
    assert faults["keep"] < faults["return"]
