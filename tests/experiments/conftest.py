"""What tests of lists of runs share."""

import pytest

from training.cost import summary


@pytest.fixture
def no_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run without what the run costs, which takes seconds a row, and has tests of its own."""
    monkeypatch.setattr(summary, "summarize", lambda config: None)
    monkeypatch.setattr(summary, "table", lambda found: "")
