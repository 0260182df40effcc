"""Strips and grids of layouts and latents."""

import numpy as np
import pytest
import torch

from dnnlib.errors import UserError
from tests.training.figures.runs import make_run
from tests.training.small import make_layout
from training.figures.cells import image_cells
from training.figures.steering import _in_the_middle, between, grid_figure, interpolation_figure, moves_figure
from training.figures.subject import ModelUnderStudy

pytestmark = pytest.mark.numeric


@pytest.fixture
def subject(tmp_path):
    return ModelUnderStudy(make_run(tmp_path), "cpu")


def test_between_two_layouts_all_goes_in_equal_steps():
    first, last = make_layout(1, seed=0), make_layout(1, seed=1)
    path = between(first, last, 5)
    assert len(path) == 5
    for level in range(3):
        torch.testing.assert_close(path.centers[level][[0]], first.centers[level])
        torch.testing.assert_close(path.centers[level][[4]], last.centers[level])
        torch.testing.assert_close(path.spreads[level][[2]], (first.spreads[level] + last.spreads[level]) / 2)


def test_interpolation_keeps_a_latent_a_row(subject):
    table = interpolation_figure(subject, seeds=[5, 6], ends=(1, 2), steps=3)
    layouts, pictures = table.groups
    assert [row.label for row in layouts.rows + pictures.rows] == ["layout", "latent 5", "latent 6"]
    expected = subject.model.images([6], layout=subject.model.layout([2]))
    np.testing.assert_allclose(pictures.rows[1].cells[2].astype(int), image_cells(expected)[0].astype(int), atol=1)
    assert not np.array_equal(layouts.rows[0].cells[0], layouts.rows[0].cells[2])


def test_a_strip_for_each_level(subject):
    table = moves_figure(subject, seed=3, steps=3)
    assert table.columns == ["−0.40", "+0.00", "+0.40", "change"]
    assert [group.label.split("\n") for group in table.groups] == [
        ["level 0", "left to right"],
        ["level 0", "top to bottom"],
        ["level 1, centre 0", "left to right"],
        ["level 2, centre 0", "left to right"],
    ]
    heatmaps, images = table.groups[0].rows
    assert (len(heatmaps.cells), len(images.cells)) == (3, 4)
    brightest = [cell.sum(2).mean(0).argmax() / 127 * 2 - 1 for cell in heatmaps.cells]
    np.testing.assert_allclose(brightest, [-0.4, 0, 0.4], atol=0.15)


def test_grid_rows_share_a_layout_and_columns_a_latent(subject):
    table = grid_figure(subject, seeds=[0, 4], layout_seeds=[7, 8, 9])
    assert table.columns == ["layout", "latent 0", "latent 4"]
    assert [row.label for row in table.rows] == ["layout 7", "layout 8", "layout 9"]
    expected = subject.model.images([4], layout=subject.model.layout([9]))
    np.testing.assert_allclose(table.rows[2].cells[2].astype(int), image_cells(expected)[0].astype(int), atol=1)


def test_one_of_several_objects_moves_about_its_own_place(tmp_path):
    subject = ModelUnderStudy(make_run(tmp_path, "spatialgan-indoor"), "cpu")
    start = subject.layout([3])
    for index, center in enumerate(start.centers[0][0].tolist()):
        moved = _in_the_middle(start, 0, index).centers[0][0]
        assert moved[index].tolist() == pytest.approx([min(max(value, -0.6), 0.6) for value in center])
        others = [i for i in range(3) if i != index]
        assert torch.equal(moved[others], start.centers[0][0, others])


def test_scenes_of_several_objects_have_a_strip_for_each(tmp_path):
    subject = ModelUnderStudy(make_run(tmp_path, "spatialgan-indoor"), "cpu")
    table = moves_figure(subject, seed=3, steps=2)
    assert [group.label.split("\n")[0] for group in table.groups[::2]] == [f"level 0, centre {n}" for n in range(3)]
    assert len(table.groups) == 6
    assert "each about its own place" in table.caption
    assert len(grid_figure(subject, seeds=[0, 1], layout_seeds=[0, 1]).rows) == 2
    assert len(interpolation_figure(subject, seeds=[0], steps=2).rows) == 2


@pytest.mark.parametrize("figure", [interpolation_figure, moves_figure, grid_figure])
def test_a_model_without_layouts_is_refused(tmp_path, figure):
    with pytest.raises(UserError, match="stylegan2 takes no layout"):
        figure(ModelUnderStudy(make_run(tmp_path, "stylegan2"), "cpu"))


@pytest.mark.parametrize("figure", [interpolation_figure, moves_figure])
def test_one_step_is_no_strip(subject, figure):
    with pytest.raises(UserError, match="use 2 steps or more"):
        figure(subject, steps=1)
