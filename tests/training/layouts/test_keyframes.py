"""Films: keyframes come out as they are, centers go smoothly, spreads and strengths stay between their keyframes."""

import numpy as np
import pytest
import torch

from tests.training.small import make_layout
from training.layouts.keyframes import Keyframes, layouts_at, monotone, smooth
from training.layouts.layout import concatenate

PLACES = torch.tensor([[0.0, 0.0], [0.6, 0.2], [0.1, -0.7], [-0.5, 0.4]])


def speeds(values: torch.Tensor, step: float) -> torch.Tensor:
    return (values[1:] - values[:-1]) / step


@pytest.mark.parametrize("path", [smooth, monotone])
def test_keys_come_out_as_they_are(path):
    torch.testing.assert_close(path(PLACES, range(4)), PLACES, rtol=0, atol=1e-6)


def test_two_keys_are_joined_by_a_straight_line_at_one_speed():
    expected = PLACES[:1] + torch.tensor([[0.0], [0.25], [0.9]]) * (PLACES[1:2] - PLACES[:1])
    torch.testing.assert_close(smooth(PLACES[:2], [0, 0.25, 0.9]), expected)


def test_one_key_stays():
    assert smooth(PLACES[:1], [0, 0, 0]).equal(PLACES[:1].expand(3, 2))


def test_speed_does_not_jump_at_a_key():
    """By straight lines it would jump by 0.9 at the second key."""
    step = 1e-3
    before, after = speeds(smooth(PLACES.double(), [1 - step, 1, 1 + step]), step)
    assert (after - before).abs().max() < 0.01


def test_a_curve_that_returns_is_closed():
    keys = torch.cat([PLACES, PLACES[:1] + 1e-7]).double()
    step = 1e-3
    start, end = speeds(smooth(keys, [0, step]), step), speeds(smooth(keys, [4 - step, 4]), step)
    torch.testing.assert_close(start, end, rtol=0, atol=0.01)
    assert start.norm() > 0.1


def test_what_must_stay_between_its_keys_does():
    strengths = torch.tensor([[1.0], [1.0], [0.0], [0.0], [0.5]])
    found = monotone(strengths, np.linspace(0, 4, 101))
    assert found[:26].min() == 1
    assert found[50:76].abs().max() == 0
    assert (found[25:51].diff(dim=0) <= 0).all()


def test_layouts_between_keyframes():
    a, b = make_layout(1), make_layout(1).moved(0, 0, 0.4, -0.2).with_spread(1, 1, 0.9)
    found = layouts_at(concatenate([a, b.with_strength(2, 3, 0.0)]), [0, 0.5, 1])
    torch.testing.assert_close(found.centers[0][1], (a.centers[0][0] + b.centers[0][0]) / 2)
    torch.testing.assert_close(found.spreads[1][1, 1], (a.spreads[1][0, 1] + 0.9) / 2)
    assert found.strengths[2][:, 3].tolist() == [1, 0.5, 0]
    assert found.strengths[0].tolist() == [[1], [1], [1]]
    assert found.registration == a.registration


def test_centers_do_not_swing_out_of_the_image():
    keys = concatenate([make_layout(1).moved(0, 0, *way) for way in [(0, 0), (0, 0), (0, 0), (0, 0)]])
    keys.centers[0][:, 0, 0] = torch.tensor([-1.0, 1.0, 1.0, -1.0])
    found = layouts_at(keys, np.linspace(0, 3, 31))
    assert found.centers[0].abs().max() <= 1
    found.validate()


def test_times_of_a_film():
    keys = Keyframes(torch.zeros(3, 2, 4), None)
    assert keys.times(4).tolist() == [i / 4 for i in range(9)]
    ws, layout = keys.at([0.5, 2])
    assert ws.shape == (2, 2, 4)
    assert layout is None
