"""Motion supervision and tracking against their formulas, written out point by point in float64."""

import math

import pytest
import torch
from torch import Tensor

from editing.point_tracking import disc, mask_loss, motion_loss, sample_features, square, step_towards, track

pytestmark = pytest.mark.numeric


def features(seed: int, size: int = 9) -> Tensor:
    return torch.randn([1, 5, size, size], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bilinear(x: Tensor, place: Tensor) -> Tensor:
    """[C] at one place, by the formula."""
    size = x.shape[2]
    u, v = ((place + 1) / 2 * (size - 1)).tolist()
    i, j = min(int(u), size - 2), min(int(v), size - 2)
    a, b = u - i, v - j
    top, bottom = (
        (1 - a) * x[0, :, j, i] + a * x[0, :, j, i + 1],
        (1 - a) * x[0, :, j + 1, i] + a * x[0, :, j + 1, i + 1],
    )
    return (1 - b) * top + b * bottom


def test_features_between_pixels_are_bilinear():
    x, places = features(0), torch.tensor([[0.1, -0.3], [-1.0, 1.0], [0.77, 0.5]], dtype=torch.float64)
    expected = torch.stack([bilinear(x, place) for place in places])
    torch.testing.assert_close(sample_features(x, places), expected)


def test_cells_have_their_middles_between_the_borders():
    """The middle of cell i is at (2i + 1) / r - 1; half a cell from the border is the border's own cell."""
    x = features(0, 8)
    middles = (2 * torch.arange(8, dtype=torch.float64) + 1) / 8 - 1
    places = torch.stack([middles, torch.full_like(middles, middles[3])], -1)
    torch.testing.assert_close(sample_features(x, places, "cells"), x[0, :, 3].T)
    border = torch.tensor([[-1.0, middles[3]]], dtype=torch.float64)
    torch.testing.assert_close(sample_features(x, border, "cells"), x[0, :, 3, :1].T)


def test_disc_and_square():
    like = torch.zeros([], dtype=torch.float64)
    assert square(1.0, 0.5, like).shape == (25, 2)
    inside = sum(math.hypot(x, y) <= 3 for x in range(-3, 4) for y in range(-3, 4))
    assert len(disc(3.0, 1.0, like)) == inside


def test_steps_are_as_long_as_said_but_never_beyond_the_target():
    points, targets = torch.tensor([[0.0, 0.0], [0.5, 0.5]]), torch.tensor([[0.3, 0.4], [0.5, 0.51]])
    torch.testing.assert_close(step_towards(points, targets, 0.1), torch.tensor([[0.06, 0.08], [0.0, 0.01]]))


def test_motion_loss_is_equation_1():
    x, offsets = features(1).requires_grad_(), disc(0.2, 0.1, torch.zeros([], dtype=torch.float64))
    points = torch.tensor([[0.1, 0.2], [-0.4, 0.3]], dtype=torch.float64)
    ahead = torch.tensor([[0.05, 0.0], [0.03, -0.04]], dtype=torch.float64)
    loss = motion_loss(x, points, ahead, offsets)
    plain = sum(
        (bilinear(x, p + q).detach() - bilinear(x, p + q + d)).abs().sum()
        for p, d in zip(points, ahead, strict=True)
        for q in offsets
    )
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(torch.autograd.grad(loss, x)[0], torch.autograd.grad(plain, x)[0])


def test_mask_loss_counts_only_what_may_not_change():
    x, first, mask = features(2), features(3), torch.zeros([9, 9], dtype=torch.float64)
    mask[:, :4] = 1
    torch.testing.assert_close(mask_loss(x, first, mask), (x - first)[..., 4:].abs().sum())
    assert mask_loss(x, first, torch.ones_like(mask)) == 0


def test_tracking_finds_where_features_went():
    x = features(4, 17)
    references = sample_features(x, torch.tensor([[0.0, 0.0]], dtype=torch.float64))
    moved = x.roll((2, -3), dims=(2, 3))  # 2 pixels down, 3 to the left
    candidates = square(0.5, 0.125, references)[None]
    assert track(moved, references, candidates).tolist() == [[-0.375, 0.25]]
