"""What a heatmap covers is to move along with its centre: distances against pictures moved by hand."""

import pytest
import torch

from training.losses.following import follow_distance, shifted

pytestmark = pytest.mark.numeric

SIDE = 16


def pictures(number: int = 3) -> torch.Tensor:
    return torch.rand(number, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def offsets(*pairs: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    dx, dy = torch.tensor(pairs).unbind(1)
    return dx, dy


def test_pictures_are_moved_by_whole_pixels_each_by_its_own():
    images = pictures()
    moved, inside = shifted(images, *offsets((0, 0), (3, -2), (-SIDE, 5)))
    assert torch.equal(moved[0], images[0])
    assert inside[0].all()
    assert torch.equal(moved[1, :, :-2, 3:], images[1, :, 2:, :-3])
    assert torch.equal(inside[1].nonzero().amin(0), torch.tensor([0, 3]))
    assert inside[1].sum() == (SIDE - 2) * (SIDE - 3)
    assert not inside[2].any()


def test_what_moved_as_it_should_is_at_no_distance():
    images = pictures(2)
    dx, dy = offsets((3, -2), (-1, 4))
    after, _ = shifted(images, dx, dy)
    assert follow_distance(images, after, torch.ones(2, SIDE, SIDE), dx, dy).tolist() == [0, 0]


def test_the_distance_is_the_mean_square_weighed_by_the_square_of_the_heatmap():
    images, dx, dy = pictures(1).double(), *offsets((3, -2))
    heatmap = torch.rand(1, SIDE, SIDE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    total = weight = 0.0
    for row in range(SIDE - 2):  # the last two rows, and the first three columns, show what was out of the picture
        for column in range(3, SIDE):
            difference = images[0, :, row, column] - images[0, :, row + 2, column - 3]
            total += float(heatmap[0, row, column] ** 2 * difference.square().mean())
            weight += float(heatmap[0, row, column] ** 2)
    assert follow_distance(images, images, heatmap, dx, dy).item() == pytest.approx(total / weight, rel=1e-6)


def test_a_heatmap_that_shows_nothing_of_what_was_there_asks_for_nothing():
    images = pictures(1)
    assert follow_distance(images, -images, torch.ones(1, SIDE, SIDE), *offsets((SIDE, 0))).item() == 0
