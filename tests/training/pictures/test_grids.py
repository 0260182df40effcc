"""Pictures: pixels, grids, heatmaps with their centres, steering grids, the files of a run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny_models import tiny_model
from tests.training.small import global_streams, make_layout
from training.layouts.layout import Layout
from training.pictures import grids
from training.sampling import Model, to_uint8

GAP = grids.GAP


def layout_at(x: float, y: float, count: int = 1) -> Layout:
    """All centres at one place."""
    centers = tuple(torch.tensor([x, y]).expand(count, n, 2) for n in (1, 2, 4))
    return Layout(centers, tuple(torch.full([count, n], 0.3) for n in (1, 2, 4)))


def flat_images(count: int, side: int, value: float = -1.0, channels: int = 3) -> torch.Tensor:
    return torch.full([count, channels, side, side], value)


# ---- pixels


def test_to_pixels_takes_floats_and_bytes():
    images = torch.rand([2, 3, 4, 4], generator=torch.Generator().manual_seed(0)) * 2 - 1
    pixels = grids.to_pixels(images)
    assert pixels.shape == (2, 4, 4, 3)
    assert np.array_equal(pixels, grids.to_pixels(to_uint8(images)))
    assert np.array_equal(pixels, grids.to_pixels(to_uint8(images).numpy()))
    assert pixels[1, 2, 3, 0] == to_uint8(images)[1, 0, 2, 3]


def test_grey_becomes_three_equal_channels():
    pixels = grids.to_pixels(flat_images(1, 4, 0.0, channels=1))
    assert pixels.shape == (1, 4, 4, 3)
    assert (pixels == 128).all()


@pytest.mark.parametrize("side, largest, cell", [(8, None, 64), (32, None, 64), (64, None, 64), (128, None, 128),
                                                 (512, None, 512), (512, 256, 256), (1024, 256, 256), (32, 256, 64)])
def test_cells_are_comfortable_to_look_at(side: int, largest: int | None, cell: int):
    assert grids.to_cells(flat_images(1, side), largest=largest).shape == (1, cell, cell, 3)


def test_enlarging_repeats_pixels_and_reducing_averages_them():
    checks = np.indices((32, 32)).sum(0) % 2 * 200
    images = np.broadcast_to(checks.astype(np.uint8), (1, 3, 32, 32))
    assert np.array_equal(grids.to_cells(images)[0, ::2, ::2, 0], checks)
    assert (grids.to_cells(images, smallest=4, largest=16) == 100).all()


# ---- grids


def test_image_grid_places_images_row_by_row():
    images = torch.stack([flat_images(1, 64, value)[0] for value in (-1.0, 0.0, 1.0)])
    grid = grids.image_grid(images, columns=2)
    assert grid.shape == (128 + GAP, 128 + GAP, 3)
    assert grid.dtype == np.uint8
    assert (grid[:64, :64] == 0).all()
    assert (grid[:64, 64 + GAP :] == 128).all()
    assert (grid[64 + GAP :, :64] == 255).all()
    assert (grid[:64, 64 : 64 + GAP] == 255).all()  # the gap, and the empty cell
    assert (grid[64 + GAP :, 64 + GAP :] == 255).all()


@pytest.mark.parametrize("count, columns", [(1, 1), (2, 2), (4, 2), (5, 3), (64, 8)])
def test_grids_are_about_square(count: int, columns: int):
    assert grids.square_columns(count) == columns
    width = grids.image_grid(flat_images(count, 64), gap=0).shape[1]
    assert width == columns * 64


# ---- heatmaps


def crosses(picture: np.ndarray, color: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    """(row, column) of the pixels of a colour, [n, 2]."""
    return np.argwhere((picture == color).all(-1))


@pytest.mark.parametrize("x, y", [(0.0, 0.0), (-0.5, 0.25), (0.8, -0.6)])
def test_the_cross_stands_at_the_centre(x: float, y: float):
    picture = grids.heatmap_pictures(layout_at(x, y), 0, 101)[0]
    row, column = crosses(picture).mean(0)
    assert (column, row) == pytest.approx(((x + 1) * 50, (y + 1) * 50), abs=1)


def test_heat_is_brightest_around_its_centre_and_dark_far_away():
    picture = grids.heatmap_pictures(layout_at(-0.8, -0.8), 1, 64)[0].sum(-1).astype(int)
    assert picture[12, 12] > 500  # beside the cross
    assert picture[-1, -1] < 30


def test_a_centre_outside_the_image_is_not_marked():
    picture = grids.heatmap_pictures(layout_at(2.0, 2.0), 2, 64)[0]
    assert len(crosses(picture, grids.LEVEL_COLORS[2])) == 0


def test_overlay_leaves_the_picture_visible_away_from_the_heat():
    layout = layout_at(-0.9, -0.9)
    overlay = grids.overlay_pictures(np.full([1, 64, 64, 3], 128, np.uint8), layout)
    assert np.abs(overlay[0, 40:, 40:].astype(int) - 128).max() <= 2
    assert np.abs(overlay[0, :16, :16].astype(int) - 128).max() > 30


def test_samples_beside_heatmaps_has_five_cells_a_row():
    images, layout = flat_images(4, 32, 0.5), make_layout(4)
    page, side = grids.samples_beside_heatmaps(images, layout), grids.MARKED_CELL
    assert page.shape == (4 * side + 3 * GAP, 5 * side + 4 * GAP, 3)
    assert (page[:side, :side] == 191).all()
    second_row, level_2 = slice(side + GAP, 2 * side + GAP), slice(3 * (side + GAP), 4 * side + 3 * GAP)
    assert np.array_equal(page[second_row, level_2], grids.heatmap_pictures(layout, 2, side)[1])
    two_blocks = grids.samples_beside_heatmaps(images, layout, blocks=2)
    assert two_blocks.shape == (2 * side + GAP, 2 * page.shape[1] + grids.WIDE_GAP, 3)


# ---- moving centres


def test_a_strip_leaves_the_images_untouched_below_the_commanded_centres():
    layout = layout_at(0.0, 0.0, 3).moved(0, 0, torch.tensor([-0.8, 0.0, 0.8]), 0.0)
    strip = grids.moving_strip(flat_images(3, 64), layout)
    header = 32 + 2 * GAP
    assert strip.shape == (header + 64, 3 * 64 + 2 * GAP, 3)
    assert (strip[header:, :64] == 0).all()
    maps = grids.heatmap_pictures(layout, 0, 32)
    assert np.array_equal(strip[:32, 16:48], maps[0])
    assert np.array_equal(strip[:32, 2 * (64 + GAP) + 16 :][:, :32], maps[2])


class Recorder:
    """Stands in for a Model whose picture is a flat grey; notes what it is asked to draw."""

    def __init__(self, model: Model):
        self.model, self.calls = model, []

    def layout(self, seeds: list[int]) -> Layout:
        return self.model.layout(seeds)

    def images(self, seeds: list[int], layout: Layout, labels: list[int] | None) -> torch.Tensor:
        self.calls.append((seeds, layout, labels))
        return flat_images(len(seeds), 32, 0.0)


def test_a_steering_grid_moves_the_centre_across_and_down_over_fixed_latents():
    model = Recorder(tiny_model())
    page = grids.steering_grid(model, [4, 9], labels=[1, 0], reach=0.4, steps=3)
    block = 3 * 64 + 2 * GAP
    assert page.shape == (32 + 2 * GAP + 2 * 64 + GAP, 2 * block + grids.WIDE_GAP, 3)
    (seeds, across, labels), (_, down, _) = model.calls
    assert seeds == [4, 4, 4, 9, 9, 9]
    assert labels == [1, 1, 1, 0, 0, 0]
    way, still = torch.tensor([-0.4, 0.0, 0.4]).repeat(2), torch.zeros(6)
    torch.testing.assert_close(across.centers[0][:, 0], torch.stack([way, still], -1))
    torch.testing.assert_close(down.centers[0][:, 0], torch.stack([still, way], -1))
    own = model.layout([4, 9])
    for level in (1, 2):  # follow with the offsets that their seed gave them
        offsets = (own.centers[level] - own.centers[0]).repeat_interleave(3, 0)
        torch.testing.assert_close(across.centers[level] - across.centers[0], offsets)


# ---- files


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7), (5, 7, 1)])
def test_save_png_round_trip(tmp_path: Path, shape: tuple[int, ...]):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = grids.save_png(tmp_path / "picture.png", pixels)
    assert np.array_equal(np.asarray(Image.open(path)), pixels.squeeze())
    assert list(tmp_path.iterdir()) == [path]


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path):
    with pytest.raises((TypeError, ValueError)):
        grids.save_png(tmp_path / "picture.png", np.zeros([2, 2, 7], np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_training_samples_of_a_steerable_model(tmp_path: Path):
    model, before = tiny_model(resolution=32), global_streams()
    written = grids.save_training_samples(tmp_path, model, 125, seeds=range(9))
    names = ["fakes000125.png", "heatmaps000125.png", "steer000125.png"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    with Image.open(written[0]) as fakes:
        assert fakes.size == (3 * 64 + 2 * GAP, 3 * 64 + 2 * GAP)
    assert global_streams() == before


def test_training_samples_are_the_same_pictures_every_time(tmp_path: Path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        grids.save_training_samples(folder, tiny_model(), 1, seeds=[3, 5])
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize("options, count", [({"method": "stylegan2"}, 1), ({"classes": 3}, 3), ({"channels": 1}, 3)])
def test_training_samples_of_other_models(tmp_path: Path, options: dict, count: int):
    written = grids.save_training_samples(tmp_path, tiny_model(**options), 4, seeds=range(4))
    assert len(written) == count
    assert all(Image.open(path).mode == "RGB" for path in written)
