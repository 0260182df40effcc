"""Affine maps: composition against matrices, and an identity that stays one."""

import math

import pytest
import torch
from torch import Tensor

from training.augment.affine import Affine

pytestmark = pytest.mark.numeric


def identity(count: int = 2) -> Affine:
    return Affine.identity(count, torch.float64, torch.device("cpu"))


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def applied(affine: Affine, x: float, y: float) -> list[list[float]]:
    return affine.grid(tensor(x), tensor(y))[:, 0, 0].tolist()


def assert_goes(affine: Affine, point: tuple[float, float], *expected: tuple[float, float]) -> None:
    torch.testing.assert_close(tensor(*applied(affine, *point)[0]), tensor(*expected[0]))
    torch.testing.assert_close(tensor(*applied(affine, *point)[1]), tensor(*expected[1]))


def test_each_map_does_what_it_is_called():
    assert_goes(identity().scaled(tensor(2, 1), tensor(1, 3)), (1, 1), (2, 1), (1, 3))
    assert_goes(identity().shifted(tensor(2, 0), tensor(0, 3)), (1, 1), (3, 1), (1, 4))
    assert_goes(identity().rotated(tensor(math.pi / 2, math.pi)), (1, 0), (0, 1), (-1, 0))


def test_what_is_composed_last_comes_first():
    angle, zero = tensor(math.pi / 2, 0), tensor(0, 0)
    assert_goes(identity().rotated(angle).shifted(tensor(1, 1), zero), (0, 0), (0, 1), (1, 0))
    assert_goes(identity().shifted(tensor(1, 1), zero).rotated(angle), (0, 0), (1, 0), (1, 0))
    assert_goes(identity().scaled(tensor(2, 2), tensor(2, 2)).shifted(tensor(1, 1), zero), (0, 0), (2, 0), (2, 0))


def test_other_units():
    moved = identity().shifted(tensor(3, 0), tensor(0, 2))
    assert_goes(moved.into((2, 1), (10, 5)), (1, 1), (9, 15), (3, 35))


def test_normalized_positions_are_those_of_border_pixels():
    """In an image of 5 x 9 pixels, 2 to the right are 1 in x and 2 down are 0.5 in y."""
    moved = identity().shifted(tensor(2, 0), tensor(0, 2)).normalized(width=5, height=9)
    assert_goes(moved, (0, 0), (1, 0), (0, 0.5))
    turned = identity().rotated(tensor(math.pi / 2, math.pi / 2)).normalized(width=5, height=9)
    assert_goes(turned, (1, 0), (0, 0.5), (0, 0.5))


def test_neutral_maps_leave_the_identity_exact():
    one, zero = torch.ones(2), torch.zeros(2)
    neutral = Affine.identity(2, torch.float32, torch.device("cpu"))
    neutral = neutral.scaled(one, one).rotated(zero).shifted(-zero, zero).scaled(1 / one, one).rotated(zero)
    assert neutral.is_identity().tolist() == [True, True]
    assert neutral.rotated(torch.tensor([0.0, 1e-6])).is_identity().tolist() == [True, False]
