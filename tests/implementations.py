"""Runs a module's tests once for each version of the operators."""

import pytest

from torch_utils.native.loader import is_loaded

each_implementation = [
    pytest.mark.usefixtures("implementation"),
    pytest.mark.parametrize("implementation", ["native", "pytorch", "reference"], indirect=True),
]


def check_native(device: str = "cpu") -> None:
    """Fail where the native operators are missing: falling back would look green."""
    assert is_loaded(device), "no native operators; see: python -m torch_utils.ops doctor"
