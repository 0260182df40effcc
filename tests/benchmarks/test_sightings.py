"""Objects and patches seen in pictures alone: a disc with a spot, before smooth backgrounds."""

import math

import pytest
import torch
from torch import Tensor

from benchmarks.sightings import found_again, object_mask
from training.layouts.registration import positions

SIDE = 48


def disc_on_gradient(x: float, y: float, radius: float, turn: float = 0.0) -> Tensor:
    """[3, SIDE, SIDE]: a white disc with a dark spot at its right; `turn`: another background."""
    axis = positions(SIDE, "cells", torch.empty(0))
    across, down = axis[None] - x, axis[:, None] - y
    picture = torch.stack([0.5 * torch.sin(2 * axis[None] + turn).expand(SIDE, SIDE), 0.4 * axis[:, None] * axis[None],
                           (-0.6 * axis[:, None]).expand(SIDE, SIDE)])  # fmt: skip
    inside = across.square() + down.square() < radius**2
    spot = (across - 0.4 * radius).square() + down.square() < (0.3 * radius) ** 2
    return torch.where(inside, torch.where(spot, -0.9, 1.0), picture)


@pytest.mark.parametrize("turn", [0.0, 1.0])
def test_the_object_is_what_stands_before_a_smooth_background(turn: float):
    axis = positions(SIDE, "cells", torch.empty(0))
    inside = (axis[None] - 0.3).square() + (axis[:, None] + 0.2).square() < 0.4**2
    assert (object_mask(disc_on_gradient(0.3, -0.2, 0.4, turn)) != inside).float().mean() < 0.02
    assert object_mask(disc_on_gradient(0.3, -0.2, 0.0, turn)).float().mean() < 0.02


def test_a_patch_is_found_again_wherever_it_went_and_the_background_does_not_count():
    before, after = disc_on_gradient(0.3, -0.2, 0.4), disc_on_gradient(-0.3, 0.4, 0.4, turn=1.0)
    for start in ((0.46, -0.2), (0.3, 0.0), (0.1, -0.3)):
        place = found_again(before, after, start, object_mask(before), "cells")
        assert math.dist(place, (start[0] - 0.6, start[1] + 0.6)) < 2 / SIDE


def test_a_patch_that_stayed_is_found_where_it_was():
    """Whatever was asked for: the measure cannot be led by a target."""
    before = disc_on_gradient(0.3, -0.2, 0.4)
    place = found_again(before, before, (0.46, -0.2), object_mask(before), "cells")
    assert place == pytest.approx((0.46, -0.2), abs=0.02)
