"""The Inception Score's extremes."""

import pytest
import torch

from dnnlib.errors import UserError
from metrics.inception_score import inception_score

pytestmark = pytest.mark.numeric


def test_every_class_for_certain_counts_the_classes():
    mean, deviation = inception_score(torch.eye(7).double().repeat(10, 1), splits=10)
    assert mean == pytest.approx(7, rel=1e-12)
    assert deviation == pytest.approx(0, abs=1e-12)


def test_the_same_guess_everywhere_is_worth_one():
    assert inception_score(torch.full([20, 4], 0.25).double(), splits=2)[0] == pytest.approx(1, rel=1e-12)


def test_fewer_images_than_splits_are_refused():
    with pytest.raises(UserError, match="3 images cannot be split in 10"):
        inception_score(torch.eye(3))
