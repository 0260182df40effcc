"""Heatmaps of a layout: their values, and what moving, selecting and checking a layout does."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnlib.errors import UserError
from tests.training.rendered import RenderedLayout
from tests.training.small import make_layout
from training.layouts.layout import EPS, Layout, check_counts, concatenate, flattened
from training.layouts.registration import resize

pytestmark = pytest.mark.numeric

coordinates = st.floats(-1, 1)
spreads = st.floats(0.01, 4)
unhurried = settings(deadline=None, max_examples=60)  # a busy machine is no reason to fail


def single(x: float, y: float, spread: float, dtype: torch.dtype = torch.float64) -> Layout:
    """One picture with one centre on one level."""
    return Layout((torch.tensor([[[x, y]]], dtype=dtype),), (torch.tensor([[spread]], dtype=dtype),))


# ---- rendering


@unhurried
@given(x=coordinates, y=coordinates, spread=spreads, resolution=st.integers(2, 40))
def test_values_are_within_their_limits(x, y, spread, resolution):
    heatmap = single(x, y, spread, torch.float32).heatmaps(0, resolution)
    assert heatmap.shape == (1, 1, resolution, resolution)
    assert heatmap.min() >= torch.tensor(EPS)
    assert heatmap.max() <= 1 + torch.tensor(EPS)


@unhurried
@given(x=coordinates, y=coordinates, spread=spreads, at=st.tuples(st.integers(0, 10), st.integers(0, 10)))
def test_each_pixel_is_the_gaussian_of_its_distance(x, y, spread, at):
    column, row = at
    px, py = column / 5 - 1, row / 5 - 1
    expected = math.exp(-((px - x) ** 2 + (py - y) ** 2) / spread) + 0.01
    assert single(x, y, spread).heatmaps(0, 11)[0, 0, row, column].item() == pytest.approx(expected, rel=1e-9)


@unhurried
@given(
    cell=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    steps=st.tuples(st.integers(-8, 8), st.integers(-8, 8)),
    spread=spreads,
)
def test_moving_a_centre_by_grid_steps_shifts_the_map(cell, steps, spread):
    grid, (dx, dy) = 2 / 20, steps
    layout = single(cell[0] * grid - 1, cell[1] * grid - 1, spread)
    before = layout.heatmaps(0, 21)[0, 0]
    after = layout.moved(0, 0, dx * grid, dy * grid).heatmaps(0, 21)[0, 0]
    kept = before[max(-dy, 0) : 21 - max(dy, 0), max(-dx, 0) : 21 - max(dx, 0)]
    shifted = after[max(dy, 0) : 21 + min(dy, 0), max(dx, 0) : 21 + min(dx, 0)]
    torch.testing.assert_close(shifted, kept)


def test_x_runs_right_and_y_runs_down():
    heatmap = single(1, -1, 0.1).heatmaps(0, 9)[0, 0]
    assert divmod(heatmap.argmax().item(), 9) == (0, 8)


@unhurried
@given(x=coordinates, y=coordinates, spread=spreads)
def test_size_does_not_change_where_things_are(x, y, spread):
    """Border pixels sit on the border at any size: every fourth pixel of 33 is a pixel of 9."""
    layout = single(x, y, spread)
    torch.testing.assert_close(layout.heatmaps(0, 33)[:, :, ::4, ::4], layout.heatmaps(0, 9))


def test_levels_and_pictures_are_rendered_apart():
    layout = make_layout(3)
    for level, count in enumerate((1, 2, 4)):
        assert layout.heatmaps(level, 8).shape == (3, count, 8, 8)
        torch.testing.assert_close(layout.heatmaps(level, 8)[1:2], layout[1:2].heatmaps(level, 8))


def test_heatmaps_let_gradients_through_to_the_centres():
    layout = make_layout(1)
    layout.centers[0].requires_grad_()
    layout.heatmaps(0, 8).sum().backward()
    assert layout.centers[0].grad.abs().min() > 0


def test_rendered_layout_is_resized_with_aligned_corners():
    pictures = RenderedLayout((single(0.3, -0.2, 0.5).heatmaps(0, 33),))
    assert torch.equal(pictures.heatmaps(0, 33), pictures.levels[0])
    torch.testing.assert_close(pictures.heatmaps(0, 9), pictures.levels[0][:, :, ::4, ::4])


def test_resize_keeps_the_corners(generator):
    x = torch.rand([1, 2, 5, 5], generator=generator())
    for size in (3, 5, 12):
        y = resize(x, size)
        assert y.shape == (1, 2, size, size)
        torch.testing.assert_close(y[:, :, :: size - 1, :: size - 1], x[:, :, ::4, ::4])


# ---- moving


@unhurried
@given(dx=coordinates, dy=coordinates)
def test_levels_1_and_2_follow_level_0(dx, dy):
    layout = make_layout(2)
    moved, offset = layout.moved(0, 0, dx, dy), torch.tensor([dx, dy])
    for before, after in zip(layout.centers, moved.centers, strict=True):
        torch.testing.assert_close(after, before + offset)
    assert moved.spreads == layout.spreads


@pytest.mark.parametrize("level, index", [(1, 0), (1, 1), (2, 3)])
def test_centres_of_levels_1_and_2_move_alone(level, index):
    layout = make_layout(2)
    moved = layout.moved(level, index, 0.25, -0.5)
    changed = [(after - before).abs().sum(-1) > 0 for before, after in zip(layout.centers, moved.centers, strict=True)]
    assert [(number, i) for number, c in enumerate(changed) for _, i in c.nonzero().tolist()] == [(level, index)] * 2
    difference = moved.centers[level][:, index] - layout.centers[level][:, index]
    torch.testing.assert_close(difference, torch.tensor([0.25, -0.5]).expand(2, 2))


def test_moving_leaves_the_original_alone_and_takes_one_offset_per_picture():
    layout = make_layout(2)
    before = [c.clone() for c in layout.centers]
    moved = layout.moved(0, 0, torch.tensor([0.5, 0.0]), 0.25)
    assert all(map(torch.equal, layout.centers, before))
    offset = torch.tensor([[0.5, 0.25], [0.0, 0.25]])
    torch.testing.assert_close(moved.centers[2], layout.centers[2] + offset[:, None])


@pytest.mark.parametrize("level, index", [(0, 1), (1, 2), (2, -1), (3, 0), (-1, 0)])
def test_moving_an_unknown_centre_is_refused(level, index):
    with pytest.raises(UserError, match=f"no centre {level}:{index} in a layout with 1/2/4 centres at levels 0 to 2"):
        make_layout().moved(level, index, 0.1, 0.1)


# ---- selecting and joining


def test_selecting_joining_and_repeating():
    layout = make_layout(4)
    assert len(layout) == 4
    assert layout.counts == (1, 2, 4)
    joined = concatenate([layout[2:], layout[[0, 1]]])
    for before, after in zip(layout.centers + layout.spreads, joined.centers + joined.spreads, strict=True):
        assert torch.equal(after, before[[2, 3, 0, 1]])
    repeated = layout[:2].repeat(3)
    assert torch.equal(repeated.centers[1], layout.centers[1][[0, 0, 0, 1, 1, 1]])


# ---- checking


@pytest.mark.parametrize("x, y", [(1.01, 0), (0, -1.5), (float("nan"), 0), (float("inf"), 0)])
def test_level_0_centre_outside_the_image_is_refused(x, y):
    message = rf"layout 0: centre 0:0 at \({x:g}, {y:g}\) is outside \[-1, 1\]; -1 and 1 are the borders"
    with pytest.raises(UserError, match=message):
        single(x, y, 0.5).validate()


@pytest.mark.parametrize("x, y", [(1, -1), (-1, 1), (0, 0)])
def test_the_borders_themselves_are_inside(x, y):
    layout = single(x, y, 0.5)
    assert layout.validate() is layout


def test_other_levels_may_leave_the_image_but_not_by_any_amount():
    layout = make_layout(3)
    layout.centers[2][1, 3] = torch.tensor([2.5, -2.9])
    layout.validate()
    layout.centers[2][1, 3, 0] = 3.1
    with pytest.raises(UserError, match=r"layout 1: centre 2:3 at \(3\.1, -2\.9\) is outside \[-3, 3\]"):
        layout.validate()


@pytest.mark.parametrize("spread", [0.0, -0.5, float("nan"), float("inf")])
def test_spreads_must_be_positive(spread):
    layout = make_layout(2)
    layout.spreads[1][1, 0] = spread
    with pytest.raises(UserError, match=rf"layout 1: spread 1:0 is {spread:g}; it must be positive"):
        layout.validate()


def test_counts_of_another_method_are_refused():
    layout = make_layout()
    assert check_counts(layout, (1, 2, 4)) is layout
    message = "scene.json has 1/2/4 centres at levels 0 to 2, but this model takes 3 centres at level 0"
    with pytest.raises(UserError, match=message):
        check_counts(layout, [3], "scene.json")


# ---- strengths, spreads, scenes of one level


def test_strength_scales_a_heatmap_and_0_removes_it():
    layout = make_layout(2)
    weaker = layout.with_strength(2, 1, torch.tensor([0.0, 0.5]))
    before, after = layout.heatmaps(2, 8), weaker.heatmaps(2, 8)
    assert after[0, 1].abs().max() == 0
    torch.testing.assert_close(after[1, 1], before[1, 1] / 2)
    assert torch.equal(after[:, [0, 2, 3]], before[:, [0, 2, 3]])
    assert torch.equal(weaker.heatmaps(1, 8), layout.heatmaps(1, 8))
    assert layout.strengths is None


def test_spread_of_one_part_can_be_changed():
    layout = make_layout(2)
    wider = layout.with_spread(1, 0, 2.0)
    assert wider.spreads[1][:, 0].tolist() == [2, 2]
    assert torch.equal(wider.spreads[1][:, 1], layout.spreads[1][:, 1])
    assert wider.centers == layout.centers
    assert (wider.heatmaps(1, 8)[:, 0] > layout.heatmaps(1, 8)[:, 0]).any()


@pytest.mark.parametrize("change", [Layout.with_spread, Layout.with_strength])
def test_changing_what_there_is_not_is_refused(change):
    with pytest.raises(UserError, match="no centre 0:1 in a layout with 1/2/4 centres at levels 0 to 2"):
        change(make_layout(), 0, 1, 0.5)


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan")])
def test_strengths_are_shares(strength):
    with pytest.raises(UserError, match=rf"layout 0: strength 1:1 is {strength:g}; it must be in \[0, 1\]"):
        make_layout().with_strength(1, 1, strength).validate()


def test_strengths_stay_with_their_pictures():
    layout = make_layout(4).with_strength(0, 0, torch.tensor([0.0, 0.25, 0.5, 1.0]))
    moved = layout.moved(0, 0, 0.1, 0.1).to("cpu")
    assert moved.strengths[0].flatten().tolist() == [0, 0.25, 0.5, 1]
    assert layout[[2, 1]].strengths[0].flatten().tolist() == [0.5, 0.25]
    assert layout[1:3].repeat(2).strengths[0].flatten().tolist() == [0.25, 0.25, 0.5, 0.5]
    joined = concatenate([make_layout(1), layout[:2]])
    assert joined.strengths[0].flatten().tolist() == [1, 0, 0.25]


def test_floor_is_added_to_the_gaussian():
    layout = make_layout(2)
    torch.testing.assert_close(layout.heatmaps(1, 8, floor=0.0) + EPS, layout.heatmaps(1, 8))


def test_a_single_level_serves_as_every_level():
    layout = make_layout(2, (3,))
    for level in range(3):
        assert torch.equal(layout.heatmaps(level, 8), layout.heatmaps(0, 8))
    pictures = RenderedLayout((layout.heatmaps(0, 8),))
    assert torch.equal(pictures.heatmaps(2, 8), pictures.levels[0])
    with pytest.raises(UserError, match="no centre 1:0 in a layout with 3 centres at level 0"):
        layout.moved(1, 0, 0.1, 0.1)


def test_objects_of_a_scene_move_alone():
    layout = make_layout(2, (3,))
    moved = layout.moved(0, 1, 0.2, 0.1)
    changed = (moved.centers[0] - layout.centers[0]).abs().sum(2) > 0
    assert changed.tolist() == [[False, True, False]] * 2


def test_flattened_layouts_are_the_sums_of_each_level():
    layout = make_layout(2)
    vector = flattened(layout)
    assert vector.shape == (2, 16 + 64 + 256)
    torch.testing.assert_close(vector[:, 16:80].unflatten(1, (8, 8)), layout.heatmaps(1, 8).sum(1))
    assert flattened(make_layout(2, (3,))).shape == (2, 336)
