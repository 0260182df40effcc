"""The fixture that hands a golden case to a test, or fails it when there is no such file."""

from pathlib import Path

import pytest


@pytest.fixture
def case(request: pytest.FixtureRequest):
    """A Case (or an entry of a JSON file) chosen by the decorators of tests/golden/cases.py."""
    if isinstance(request.param, Path):
        pytest.fail(f"golden file {request.param} is missing", pytrace=False)
    return request.param
