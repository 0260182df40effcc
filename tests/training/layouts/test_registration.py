"""Where heatmaps lie: a layout means the same place at every resolution, and alignment has its minimum there."""

import math

import pytest
import torch
from torch import Tensor

from tests.training.rendered import RenderedLayout
from tests.training.small import make_layout
from training.augment.affine import Affine
from training.augment.layouts import WarpedLayout
from training.config import LEVEL_RESOLUTIONS, AlignConfig
from training.layouts.layout import EPS, Layout, concatenate
from training.layouts.registration import pixel_places, positions, resize
from training.losses.attention import candidate_maps, level_distance, normalize, target_map

pytestmark = pytest.mark.numeric

FINE = 128
PLACES = torch.linspace(-0.75, 0.75, 301)  # where the disc is tried, along x
CENTERS = [-0.6, -0.37, -0.1, 0.0, 0.22, 0.5]


def single(x: float, y: float, spread: float, registration: str = "cells") -> Layout:
    return Layout((torch.tensor([[[x, y]]]),), (torch.tensor([[spread]]),), registration=registration)


def disc(x: Tensor, y: float, spread: float) -> Tensor:
    """Pictures [N, 1, FINE, FINE] of a soft disc at (x, y), -1 and 1 the borders of the picture."""
    axis = (torch.arange(FINE) + 0.5) / FINE * 2 - 1
    across = torch.exp(-(axis - x[:, None]).square() / spread)
    down = torch.exp(-(axis - y).square() / spread)
    return (down[:, None] * across[:, None, :])[:, None]


def nearest_place(layout: Layout, level: int, y: float, spread: float) -> float:
    """Where a disc is when D's attention to it, averaged over the cells of a feature, is nearest to the heatmap."""
    r = LEVEL_RESOLUTIONS[level]
    seen = normalize(torch.nn.functional.avg_pool2d(disc(PLACES, y, spread), FINE // r))
    distances = torch.stack([level_distance(one[None], layout, level, AlignConfig()) for one in seen])
    return PLACES[distances <= distances.min() + 1e-6].mean().item()


@pytest.mark.parametrize("level", range(3))
@pytest.mark.parametrize("spread", [0.1, 0.3, 1.0])
def test_alignment_has_its_minimum_where_the_disc_is_at_the_centre(level: int, spread: float):
    for x in CENTERS:
        assert nearest_place(single(x, 0.15, spread), level, 0.15, spread) == pytest.approx(x, abs=0.03)


def test_as_released_it_lies_elsewhere_at_4x4():
    found = [nearest_place(single(x, 0.15, 0.3, "corners"), 0, 0.15, 0.3) for x in CENTERS]
    assert max(abs(place - x) for place, x in zip(found, CENTERS, strict=True)) > 0.1


def test_heatmaps_of_one_size_are_the_means_of_those_of_another():
    layout = make_layout().registered("cells")
    for level in range(3):
        fine = layout.heatmaps(level, 64)
        for r in LEVEL_RESOLUTIONS:
            pooled = torch.nn.functional.avg_pool2d(fine, 64 // r)
            torch.testing.assert_close(pooled, layout.heatmaps(level, r), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spread", [1e-4, 0.05, 0.7, 1e4])
def test_a_mean_over_a_cell_is_that_of_many_samples(spread: float):
    r, each = 8, 400
    found = single(0.21, -0.47, spread).heatmaps(0, r, floor=0.0)[0, 0].double()
    axis = (torch.arange(r * each, dtype=torch.float64) + 0.5) / (r * each) * 2 - 1
    x, y = (torch.exp(-(axis - c).square() / spread).unflatten(0, (r, each)).mean(1) for c in (0.21, -0.47))
    torch.testing.assert_close(found, y[:, None] * x, rtol=2e-3, atol=1e-6)


def test_the_middle_of_the_mass_is_the_centre_at_any_resolution():
    for r in (16, 32, 256):
        heatmap = single(0.2, -0.3, 0.02).heatmaps(0, r, floor=0.0)[0, 0].double()
        axis = positions(r, "cells", heatmap)
        x, y = ((heatmap.sum(along) @ axis / heatmap.sum()).item() for along in (0, 1))
        assert (x, y) == pytest.approx((0.2, -0.3), abs=2e-4)


def test_the_peak_hardly_depends_on_where_in_a_cell_the_centre_is():
    peaks = [single(x, x, 0.2).heatmaps(0, 4).amax().item() for x in torch.linspace(0, 0.5, 11).tolist()]
    samples = [single(x, x, 0.2, "corners").heatmaps(0, 4).amax().item() for x in torch.linspace(0, 2 / 3, 11).tolist()]
    assert max(peaks) - min(peaks) < 0.8 * (max(samples) - min(samples))
    targets = [target_map(single(x, x, 0.2), 0, 4).amax().item() for x in torch.linspace(0, 0.5, 11).tolist()]
    assert targets == pytest.approx([1] * 11)


def test_positions_and_pixels():
    assert positions(4, "cells", torch.zeros(())).tolist() == pytest.approx([-0.75, -0.25, 0.25, 0.75])
    assert positions(3, "corners", torch.zeros(())).tolist() == [-1, 0, 1]
    for registration in ("cells", "corners"):
        found = pixel_places(positions(16, registration, torch.zeros(())), 16, registration)
        torch.testing.assert_close(found, torch.arange(16.0))


def test_resizing_keeps_places():
    layout = single(0.3, -0.2, 0.3)
    pictures = RenderedLayout((layout.heatmaps(0, 64),), "cells")
    torch.testing.assert_close(pictures.heatmaps(0, 8), layout.heatmaps(0, 8), rtol=1e-4, atol=1e-5)
    larger = resize(layout.heatmaps(0, 32), 64, "cells")
    torch.testing.assert_close(larger, layout.heatmaps(0, 64), rtol=0, atol=0.02)


def test_candidates_have_the_range_of_attention():
    layout = make_layout(2, (3,)).registered("cells")
    maps = candidate_maps(layout, 0, 8)
    assert maps.shape == (2, 4, 8, 8)
    assert maps.amax((2, 3)).tolist() == [pytest.approx([1] * 4)] * 2
    assert maps.amin((2, 3)).tolist() == [pytest.approx([0] * 4, abs=1e-6)] * 2


def test_augmentation_moves_heatmaps_as_it_moves_pixels():
    """Places of an image of 32 pixels, of which the geometry has the middles of the border pixels at -1 and 1."""
    size, shift = 32, 5
    moved = Affine.identity(1, torch.float32, torch.device("cpu")).shifted(torch.tensor([-shift * 1.0]), torch.zeros(1))
    geometry = moved.normalized(size, size)
    layout = single(-0.1, 0.2, 0.2)
    for r in (4, 8, 16, 32):
        expected = single(-0.1 + 2 * shift / size, 0.2, 0.2).heatmaps(0, r)
        found = WarpedLayout(layout, geometry, size).heatmaps(0, r)
        inside = slice(math.ceil(r * shift / size), None)  # the rest shows what is mirrored at the border
        torch.testing.assert_close(found[..., inside], expected[..., inside], rtol=0, atol=0.01)
        still = Affine.identity(1, torch.float32, torch.device("cpu"))
        torch.testing.assert_close(
            WarpedLayout(layout, still, size).heatmaps(0, r), layout.heatmaps(0, r), rtol=0, atol=0.01
        )


def test_a_layout_keeps_its_registration():
    layout = make_layout(3).registered("cells")
    changed = concatenate([layout[:1], layout[1:]]).moved(0, 0, 0.1, 0.0).with_strength(0, 0, 0.5).repeat(2)
    assert changed.registration == "cells"
    assert layout.registered("cells") is layout
    assert make_layout(1).heatmaps(0, 4).amin() >= EPS
