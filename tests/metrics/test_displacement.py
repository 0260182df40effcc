"""Centroids, ratios, intervals."""

import math

import pytest
import torch

from metrics.displacement import centroids, co_move_ratio, half_width

pytestmark = pytest.mark.numeric


def test_centroids_are_in_border_to_border_coordinates():
    masks = torch.zeros(3, 5, 5, dtype=torch.bool)
    masks[0, :2, 3:] = True
    masks[1, :, 4] = True
    masks[2, 2, :3] = True  # 3 pixels are no object
    found = centroids(masks)
    torch.testing.assert_close(found[:2], torch.tensor([[0.75, -0.75], [1.0, 0.0]]))
    assert found[2].isnan().all()


def test_ratio_is_the_share_of_the_command_along_the_command():
    before = torch.zeros(3, 2)
    after = torch.tensor([[0.3, 0.0], [0.15, 0.9], [-0.3, 0.3]])
    torch.testing.assert_close(co_move_ratio(before, after, torch.tensor([0.3, 0.0])), torch.tensor([1.0, 0.5, -1.0]))


def test_every_displacement_may_have_its_own_command():
    offsets = torch.tensor([[0.2, 0.0], [0.0, -0.4]])
    ratios = co_move_ratio(torch.zeros(2, 2), torch.tensor([[0.1, 5.0], [5.0, -0.4]]), offsets)
    torch.testing.assert_close(ratios, torch.tensor([0.5, 1.0]))


def test_interval_is_normal():
    values = torch.tensor([0.0, 1.0] * 50)
    assert half_width(values) == pytest.approx(1.96 * (0.25 * 100 / 99) ** 0.5 / 10)
    assert math.isnan(half_width(values[:1]))
