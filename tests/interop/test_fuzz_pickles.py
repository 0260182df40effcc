"""Ten thousand damaged copies of a network pickle: nothing runs, nothing is written, memory and time are bounded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.cases import FOLDER
from tests.mutations import SEED

ROOT = Path(__file__).parents[2]
MOST_MEMORY, LONGEST = 256 << 20, 10.0  # bytes beyond those before; seconds, of a file of 0.3 MB that takes 0.1


def fuzz(count: int, folder: Path, seed: int) -> dict:
    arguments = map(str, (FOLDER / "tiny_reference_nosrc.pkl", count, folder, seed))
    command = [sys.executable, "-m", "tests.interop.fuzz_pickles", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(found: dict, count: int) -> None:
    assert found["done"] == {}
    assert found["left"] == []
    assert set(found["ends"]) <= {"read", "refused"}
    assert sum(found["ends"].values()) == count
    assert found["ends"]["refused"] > count / 4
    assert found["grown"] < MOST_MEMORY


@pytest.mark.slow
@pytest.mark.parametrize("part", range(5))
def test_ten_thousand_damaged_copies(tmp_path: Path, part: int):
    found = fuzz(2000, tmp_path, 5 * SEED + part)
    check(found, 2000)
    assert found["longest"] < LONGEST
