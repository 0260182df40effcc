"""What the benchmarks' tests share: a machine whose convolution rate is known without measuring it."""

import pytest

from benchmarks.harness import run


@pytest.fixture(autouse=True)
def constant_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 GFLOP/s at all times."""
    monkeypatch.setattr(run, "convolution_rate", lambda device: 100.0)
