"""Objects found by colour, held against the scenes' ground truth.

Distances are in half sides of the picture: a pixel is 0.065 at 32x32 and 0.032 at 64x64.
"""

import numpy as np
import pytest
import torch

from metrics.co_move import under
from metrics.detectors.by_color import ColorDetector, background_colors, split_by_color, tint_distance
from metrics.detectors.instances import match
from metrics.displacement import centroids
from tests.metrics.detectors.moved_scenes import composed, scene

pytestmark = pytest.mark.numeric

PIXEL = {32: 2 / 31, 64: 2 / 63}


def seen_moves(pairs, detector):
    """(seen, true) displacements [n, 2] of one object in pairs of scenes; it is looked for where it truly is."""
    seen, true = [], []
    for (before, start), (after, end) in pairs:
        first, second = detector(torch.stack([before, after]))
        here = under(first.masks, torch.tensor(start))
        if here is not None:
            there = match(first.features[here], second.features)
            seen.append(centroids(second.masks[[there]])[0] - centroids(first.masks[[here]])[0])
            true.append(torch.tensor(end) - torch.tensor(start))
    return torch.stack(seen), torch.stack(true)


def random_offset(rng, center, resolution):
    """A move of 0.1 to 0.4 half sides in pixels, that keeps a centre away from the border."""
    angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.4)
    offset = length * np.array([np.cos(angle), np.sin(angle)])
    return np.where(np.abs(np.array(center) + offset) > 0.6, -offset, offset) * (resolution - 1) / 2


def critter_pairs(count, resolution):
    rng = np.random.default_rng(0)
    for seed in range(count):
        before, (truth,) = scene("critters", seed, resolution)
        after, (moved,) = scene("critters", seed, resolution, 1, random_offset(rng, truth["center"], resolution))
        yield (before, truth["center"]), (after, moved["center"])


def composed_pairs(count, resolution, folder):
    rng = np.random.default_rng(0)
    for seed in range(count):
        before, (truth,) = composed(folder, seed, resolution)
        offset = rng.uniform(-0.35, 0.35, size=2) - truth["center"]  # from where it lies whole within the picture
        after, (moved,) = composed(folder, seed, resolution, offset * (resolution - 1) / 2)
        yield (before, truth["center"]), (after, moved["center"])


def room_pairs(kind, count, resolution):
    """One thing is moved; scenes where it then hides another one, or is hidden more or less than before, stay in."""
    rng = np.random.default_rng(0)
    for seed in range(count):
        before, objects = scene(kind, seed, resolution)
        number = int(rng.integers(len(objects)))
        center = objects[number]["center"]
        after, moved = scene(kind, seed, resolution, number + 1, random_offset(rng, center, resolution))
        if len(moved) == len(objects):
            yield (before, center), (after, moved[number]["center"])


@pytest.mark.parametrize("resolution", [32, 64])
def test_a_critter_moves_as_far_as_it_is_drawn(resolution):
    seen, true = seen_moves(critter_pairs(60, resolution), ColorDetector(one_object=True))
    assert len(seen) >= 55
    errors = (seen - true).norm(dim=1)
    assert errors.mean() < 0.3 * PIXEL[resolution]
    assert errors.quantile(0.95) < PIXEL[resolution]


def test_a_composed_object_moves_as_far_as_it_is_put(tmp_path):
    seen, true = seen_moves(composed_pairs(40, 32, tmp_path), ColorDetector(one_object=True))
    assert len(seen) >= 38
    errors = (seen - true).norm(dim=1)
    assert true.norm(dim=1).mean() > 0.2
    assert errors.mean() < 0.3 * PIXEL[32]
    assert errors.quantile(0.95) < PIXEL[32]


@pytest.mark.parametrize(
    "kind, resolution, most_pixels", [("rooms", 32, 4), ("rooms", 64, 3), ("playrooms", 32, 1), ("playrooms", 64, 1)]
)
def test_things_of_a_room_move_as_far_as_they_are_drawn(kind, resolution, most_pixels):
    seen, true = seen_moves(room_pairs(kind, 100, resolution), ColorDetector(one_object=False))
    assert len(seen) >= 70
    errors = (seen - true).norm(dim=1)
    assert errors.median() < PIXEL[resolution]
    assert errors.quantile(0.85) < most_pixels * PIXEL[resolution]
    ratios = (seen * true).sum(1) / true.square().sum(1)
    assert ratios[true.norm(dim=1) > 0.1].mean() == pytest.approx(1, abs=0.1)


def test_centres_of_critters_are_where_they_are():
    pictures, truths = zip(*(scene("critters", seed, 32) for seed in range(100, 150)), strict=True)
    found = ColorDetector(one_object=True)(torch.stack(pictures))
    errors = [
        (centroids(one.masks[:1])[0] - torch.tensor(truth[0]["center"])).norm().item()
        for one, truth in zip(found, truths, strict=True)
    ]
    assert np.mean(errors) < 0.5 * PIXEL[32]


def flat(background, *boxes, side=32):
    """[3, side, side] of one colour with coloured boxes (x0, y0, x1, y1, color)."""
    picture = torch.tensor(background, dtype=torch.float32)[:, None, None].repeat(1, side, side)
    for x0, y0, x1, y1, color in boxes:
        picture[:, y0:y1, x0:x1] = torch.tensor(color)[:, None, None]
    return picture


RED, GREEN, BLUE, GREY = (0.8, -0.8, -0.8), (-0.8, 0.8, -0.8), (-0.8, -0.8, 0.8), (0.0, 0.0, 0.0)


def test_an_empty_picture_has_no_objects():
    (found,) = ColorDetector(one_object=False)(flat(GREY)[None])
    assert found.masks.shape == (0, 32, 32)
    assert found.features.shape == (0, 4)


def test_touching_objects_are_told_apart_by_colour_only_where_there_may_be_several():
    picture = flat(GREY, (6, 10, 14, 20, RED), (14, 10, 26, 20, BLUE))[None]
    (several,), (one,) = ColorDetector(one_object=False)(picture), ColorDetector(one_object=True)(picture)
    assert several.masks.sum((1, 2)).tolist() == [120, 80]
    assert one.masks.sum((1, 2)).tolist() == [200]
    assert several.features[0, :3].tolist() == pytest.approx(BLUE)


def test_tints_and_shades_belong_to_their_colour():
    light, dark = (0.9, 0.1, 0.1), (0.2, -0.9, -0.9)
    picture = flat(BLUE, (6, 6, 24, 24, RED), (9, 9, 14, 14, light), (16, 9, 22, 22, dark))
    (found,) = ColorDetector(one_object=False)(picture[None])
    assert found.masks.sum((1, 2)).tolist() == [18 * 18]
    distances = tint_distance(np.array([light, dark, BLUE]), np.array(RED))
    assert distances[:2].max() < 0.15
    assert distances[2] > 1


def test_specks_are_no_objects_and_blurred_edges_go_to_the_nearest_one():
    mixed = tuple(np.mean([RED, BLUE], axis=0))
    picture = flat(GREY, (6, 10, 14, 20, RED), (15, 10, 26, 20, BLUE), (14, 10, 15, 20, mixed), (2, 2, 3, 4, GREEN))
    (found,) = ColorDetector(one_object=False)(picture[None])
    assert len(found.masks) == 2
    assert found.masks.sum() == 200
    assert found.masks.sum(0).max() == 1


def test_background_is_found_beside_objects_that_cover_most_of_a_row():
    rows = torch.linspace(-0.5, 0.5, 32)[:, None].expand(32, 32)
    picture = torch.stack([rows, rows, -rows]).clone()
    picture[:, 12:18, 0:20] = 0.9
    colors = background_colors(picture.permute(1, 2, 0).double().numpy())
    np.testing.assert_allclose(colors[:, 0], np.linspace(-0.5, 0.5, 32), atol=1e-6)


def test_where_a_wall_meets_a_floor_nothing_stands_out():
    picture = flat(RED)
    picture[:, 16] = 0.5 * torch.tensor(RED)[:, None] + 0.5 * torch.tensor(GREEN)[:, None]
    picture[:, 17:] = torch.tensor(GREEN)[:, None, None]
    picture[:, 16, :20] = 0.3 * torch.tensor(RED)[:, None] + 0.7 * torch.tensor(GREEN)[:, None]
    (found,) = ColorDetector(one_object=False)(picture[None])
    assert len(found.masks) == 0


def test_a_spot_without_a_main_colour_stays_whole():
    rng = np.random.default_rng(0)
    picture, mask = rng.uniform(-1, 1, (32, 32, 3)), np.zeros((32, 32), bool)
    mask[10:14, 10:14] = True
    (part,) = split_by_color(picture, mask)
    np.testing.assert_array_equal(part, mask)
