"""Training gives the curves it gave when they were recorded: whatever is moved or renamed, the numbers stay.

In float64, so that the processor does not matter. After an intended change: `python -m tests.golden.curve`.
"""

import json

import pytest

from tests.golden import curve
from tests.precision import float64

pytestmark = pytest.mark.numeric

# With vector units from SSE4.1 to AVX-512, and with native operators or PyTorch's, values are up to 2e-12 apart.
TOLERANCE = 1e-9

GOLDEN = json.loads(curve.GOLDEN.read_text())


def test_every_run_is_recorded():
    assert GOLDEN.keys() == curve.RUNS.keys()
    assert len(GOLDEN["demo"]["loss/D"]) == 64


@pytest.mark.usefixtures("few_samples")
@pytest.mark.parametrize("name", curve.RUNS)
def test_training_gives_the_recorded_curves(name):
    with float64():
        now = curve.record(name)
    assert now.keys() == GOLDEN[name].keys()
    for what, values in GOLDEN[name].items():
        assert now[what] == pytest.approx(values, rel=TOLERANCE, abs=TOLERANCE), what
