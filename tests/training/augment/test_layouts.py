"""Image and heatmap stay together: both are read at the same places, to within half a pixel of the level's grid."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.training.rendered import RenderedLayout
from tests.training.small import make_layout
from torch_utils.ops import setup_filter
from training.augment.affine import Affine
from training.augment.layouts import WarpedLayout, warped
from training.augment.pipeline import AugmentPipe
from training.augment.pipes import TRANSFORMS, multipliers
from training.augment.resample import resample
from training.augment.settings import TransformsConfig
from training.augment.strength import Strength
from training.augment.wavelets import symlet
from training.layouts.layout import EPS, LEVEL_RESOLUTIONS, Layout

pytestmark = pytest.mark.numeric

SIDE = 64
FINER = 8
TAPS = setup_filter(list(symlet(6)))
CENTERS = [(0.0, 0.0), (0.3, -0.1), (-0.2, 0.25), (0.05, 0.3)]

Move = Callable[[Affine], Affine]


def every(value: float) -> Tensor:
    return torch.full([len(CENTERS)], value)


def shift(x: float, y: float) -> Move:
    return lambda a: a.shifted(every(x), every(y))


def turn(degrees: float) -> Move:
    return lambda a: a.rotated(every(math.radians(degrees)))


def stretch(x: float, y: float) -> Move:
    """The view grows by these factors, hence objects shrink."""
    return lambda a: a.scaled(every(x), every(y))


MOVES: dict[str, list[Move]] = {
    "nothing": [],
    "right by whole pixels": [shift(-7, 0)],
    "up by parts of a pixel": [shift(0, 5.3)],
    "both ways": [shift(-6.2, 4.7)],
    "mirrored": [stretch(-1, 1)],
    "quarter turn": [turn(90)],
    "turned a little": [turn(17)],
    "turned far": [turn(-140)],
    "larger": [stretch(0.7, 0.7)],
    "smaller": [stretch(1.3, 1.3)],
    "narrower": [stretch(1.2, 0.8)],
    "turned, larger and moved": [shift(4, -3), turn(40), stretch(0.8, 0.8)],
    "moved, mirrored, stretched aslant": [turn(30), stretch(-0.8, 0.7), turn(-75), shift(3, 5)],
}


def layout() -> Layout:
    """One object each, at CENTERS in the first level and so in the others."""
    center = torch.tensor(CENTERS)[:, None]
    return Layout((center,) * 3, (torch.full([len(CENTERS), 1], 0.5),) * 3)


def blobs() -> Tensor:
    """A small bright spot at each centre, [N, 1, SIDE, SIDE]."""
    axis = torch.linspace(-1, 1, SIDE)
    x, y = (axis - torch.tensor(CENTERS)[:, i, None] for i in (0, 1))
    return torch.exp(-(x.square()[:, None, :] + y.square()[:, :, None]) / 0.01)[:, None]


def centroids(images: Tensor) -> Tensor:
    """Where the spots are: [N, 2], (x, y) in layout coordinates."""
    weight = images[:, 0] * (images[:, 0] > 0.05)
    axis = torch.linspace(-1, 1, images.shape[2])
    total = weight.sum((1, 2))
    return torch.stack([(weight.sum(1) * axis).sum(1) / total, (weight.sum(2) * axis).sum(1) / total], 1)


def peaks(source: WarpedLayout, level: int, resolution: int) -> Tensor:
    """Where the heatmaps of a level have their summits: [N, 2], (x, y) in layout coordinates.

    Found between the pixels of the level's grid, on one FINER times as fine that has those pixels too.
    """
    steps = FINER * (resolution - 1)
    fine = source.heatmaps(level, steps + 1)
    torch.testing.assert_close(fine[..., ::FINER, ::FINER], source.heatmaps(level, resolution), rtol=0, atol=2e-3)
    place = fine.flatten(1).argmax(1)
    return torch.stack([place % (steps + 1), place // (steps + 1)], 1) * (2 / steps) - 1


@pytest.mark.parametrize("name", MOVES)
def test_an_image_and_its_heatmap_stay_aligned(name: str):
    pixels = Affine.identity(len(CENTERS), torch.float32, torch.device("cpu"))
    for move in MOVES[name]:
        pixels = move(pixels)
    seen = centroids(resample(blobs(), pixels, TAPS))
    assert (seen.abs() < 0.9).all(), "choose moves that keep the object in view"
    geometry = pixels.normalized(SIDE, SIDE)
    for level, resolution in enumerate(LEVEL_RESOLUTIONS):
        said = peaks(WarpedLayout(layout(), geometry), level, resolution)
        off = (said - seen).abs().max().item() * (resolution - 1) / 2
        assert off < 0.2, f"{name}: off by {off:.2f} pixels of {resolution}x{resolution}"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("level", [0, 2])
def test_heatmaps_move_as_if_they_had_been_the_image(generator, seed: int, level: int):
    """The pipe's own resampling of a rendered heatmap, mirror images at the borders and all."""
    config = TransformsConfig(**multipliers("bg"))
    heatmaps = make_layout(8).heatmaps(level, SIDE)
    result = AugmentPipe(config, Strength(1.0))(heatmaps, generator(seed))
    moved = WarpedLayout(make_layout(8), result.geometry).heatmaps(level, SIDE)
    assert (moved - result.images).abs().mean() < 0.003
    assert (moved - result.images).abs().max() < 0.06
    assert (heatmaps - result.images).abs().max() > 0.5


def test_without_moving_the_heatmaps_are_the_same_to_rounding():
    still = Affine.identity(4, torch.float32, torch.device("cpu"))
    for level, resolution in [(0, 4), (1, 8), (2, 16), (0, 32), (1, 256)]:
        expected = make_layout().heatmaps(level, resolution)
        found = WarpedLayout(make_layout(), still).heatmaps(level, resolution)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("spread", [0.05, 0.2, 1.0])
def test_values_are_those_of_the_gaussian(spread: float):
    """At p the heatmap is H(geometry(p)), to 1%."""
    one = Layout((torch.tensor([[[0.2, -0.3]]]),), (torch.tensor([[spread]]),))
    geometry = Affine.identity(1, torch.float32, torch.device("cpu")).rotated(torch.tensor([0.6]))
    for resolution in (4, 8, 16, 64):
        axis = torch.linspace(-1, 1, resolution)
        source = geometry.grid(axis, axis)
        inside = (source.abs() <= 1).all(3)
        expected = torch.exp(-(source - torch.tensor([0.2, -0.3])).square().sum(3) / spread) + EPS
        found = WarpedLayout(one, geometry).heatmaps(0, resolution)[:, 0]
        assert (found - expected)[inside].abs().max() < 0.01


def test_beyond_the_borders_heatmaps_are_mirrored_and_then_nothing():
    one = Layout((torch.tensor([[[0.8, 0.0]]]),), (torch.tensor([[0.1]]),))

    def at_the_middle(shift: float) -> float:
        moved = Affine.identity(1, torch.float32, torch.device("cpu")).shifted(torch.tensor([shift]), torch.zeros(1))
        return WarpedLayout(one, moved).heatmaps(0, 9)[0, 0, 4, 4].item()

    assert at_the_middle(0.8) == pytest.approx(1.01, abs=0.01)
    assert at_the_middle(1.2) == pytest.approx(1.01, abs=0.01)  # 0.2 beyond the border shows what is 0.2 before it
    assert at_the_middle(2.8) < 0.02
    assert at_the_middle(3.2) == 0


def test_pictures_of_heatmaps_can_be_moved_too():
    pictures = RenderedLayout(tuple(make_layout().heatmaps(level, 128) for level in range(3)))
    geometry = Affine.identity(4, torch.float32, torch.device("cpu")).rotated(every(0.5))
    expected = WarpedLayout(make_layout(), geometry).heatmaps(1, 8)
    found = WarpedLayout(pictures, geometry).heatmaps(1, 8)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)


def test_without_geometry_the_layout_itself():
    given = make_layout()
    assert warped(given, None) is given
    config = TransformsConfig(**dict.fromkeys(TRANSFORMS, 0))
    assert AugmentPipe(config, Strength(1.0))(blobs(), torch.Generator()).geometry is None
