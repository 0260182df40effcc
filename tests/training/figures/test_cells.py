"""Cells of tables."""

import math

import numpy as np
import pytest
import torch

from training.figures.cells import correlation, correlation_notes, image_cells, map_cells, overlay_cells, spread


def test_cells_of_one_table_have_one_size():
    images, maps = torch.zeros(2, 3, 32, 32), torch.zeros(2, 1, 4, 4)
    for cells in (image_cells(images), overlay_cells(maps, images), map_cells(maps, 128)):
        assert cells.shape == (2, 128, 128, 3)
        assert cells.dtype == np.uint8


def test_overlay_is_bright_where_the_map_is():
    maps = torch.zeros(1, 1, 4, 4)
    maps[0, 0, 0, 3] = 1
    (cell,) = overlay_cells(maps, torch.zeros(1, 3, 32, 32))
    assert cell[0, -1].sum() > 2 * cell[-1, 0].sum()
    assert cell[-1, 0].sum() > 0  # the picture shows through


def test_maps_keep_their_own_pixels():
    (cell,) = map_cells(torch.arange(4.0).reshape(1, 1, 2, 2) / 3, 6)
    assert [len(np.unique(block.reshape(-1, 3), axis=0)) for block in (cell[:3, :3], cell[:3], cell)] == [1, 2, 4]


def test_spread_takes_each_map_to_its_own_range():
    maps = torch.tensor([[-2.0, 0.0, 2.0, 0.0], [5.0, 5.0, 5.0, 5.0]]).reshape(2, 1, 2, 2)
    assert spread(maps).flatten(1).tolist() == [[0, 0.5, 1, 0.5], [0, 0, 0, 0]]


def test_correlation_of_maps():
    first = torch.tensor([0.0, 1.0, 2.0, 3.0]).reshape(1, 1, 2, 2)
    maps = torch.cat([first, -first, torch.ones_like(first)])
    values = correlation(maps, first.expand(3, -1, -1, -1))
    assert values[:2].tolist() == pytest.approx([1, -1])
    assert math.isnan(values[2])
    assert correlation_notes(values) == ["r = 1.00", "r = −1.00", "r: –"]
