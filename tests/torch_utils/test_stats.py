"""Running statistics against numpy on everything that was added."""

import numpy as np
import pytest
import torch

from torch_utils.stats import RunningStatistics


def test_report_covers_everything_added_since_the_last_one():
    values = [torch.randn(3, 4), torch.randn(5) * 2 + 1, torch.tensor(0.5)]
    statistics = RunningStatistics()
    for part in values:
        statistics.add("x", part)
    everything = np.concatenate([part.numpy().ravel() for part in values]).astype(np.float64)
    summary = statistics.report()["x"]
    assert summary.count == 18
    assert summary.mean == pytest.approx(everything.mean())
    assert summary.std == pytest.approx(everything.std())
    assert (summary.min, summary.max) == (everything.min(), everything.max())
    assert statistics.report() == {}


def test_names_are_kept_apart_and_gradients_left_behind():
    statistics = RunningStatistics()
    statistics.add("a", torch.ones(2, requires_grad=True))
    statistics.add("b", torch.zeros(3))
    report = statistics.report()
    assert (report["a"].mean, report["b"].mean) == (1.0, 0.0)
    assert (report["a"].std, report["b"].count) == (0.0, 3)
