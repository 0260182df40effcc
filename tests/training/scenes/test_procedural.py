import itertools
import time

import numpy as np
import pytest

from training.data import ground_truth
from training.scenes.backgrounds import gradient
from training.scenes.canvas import Canvas, Model, box, ellipse
from training.scenes.colors import distance
from training.scenes.procedural import KINDS


def draw(kind, seed, resolution=32):
    return KINDS[kind](np.random.default_rng(seed), resolution)


def found_object(pixels):
    """Where pixels differ from the median of their row: a weight map [H, W]."""
    colors = pixels.astype(np.float64) / 127.5 - 1
    return np.abs(colors - np.median(colors, axis=1, keepdims=True)).sum(axis=2) > 0.35


def center_of(mask):
    return ground_truth.normalized(ground_truth.centroid(mask), mask.shape[0])


def test_normalised_positions():
    np.testing.assert_allclose(ground_truth.normalized([0.5, 16.0, 31.5], 32), [-1, 0, 1])


def test_a_single_pixel_has_its_own_position():
    mask = np.zeros((8, 8))
    mask[7, 0] = 1
    np.testing.assert_allclose(center_of(mask), [-1, 1])
    np.testing.assert_array_equal(ground_truth.bounds(mask), [0, 7, 1, 8])


def test_canvas_draws_where_it_is_told():
    canvas = Canvas(np.zeros((16, 16, 3)))
    canvas.draw(Model([box(4, 8, 12, 10, (255, 0, 0))]), owner=1)
    np.testing.assert_array_equal(np.argwhere(canvas.pixels()[..., 0] == 255).min(axis=0), [8, 4])
    truth = canvas.truth("box", 1)
    np.testing.assert_allclose(truth["center"], ground_truth.normalized([8, 9], 16), atol=0.02)
    np.testing.assert_allclose(truth["box"], ground_truth.normalized([4, 8, 12, 10], 16), atol=0.04)


def test_truth_is_of_what_is_visible():
    canvas = Canvas(np.zeros((16, 16, 3)))
    canvas.draw(Model([ellipse((8, 8), (3, 3), (9, 9, 9))]), owner=1)
    canvas.draw(Model([box(8, 0, 16, 16, (0, 0, 9))]), owner=2)
    assert canvas.truth("ball", 1)["center"][0] < -0.1
    canvas.draw(Model([box(0, 0, 16, 16, (0, 9, 9))]), owner=3)
    assert not canvas.shows(1)


def test_mirroring_a_model_twice_changes_nothing():
    model = Model([ellipse((1, 2), (3, 1), (0, 0, 0))], {"eye": [np.array([1.0, 2.0])]})
    flip = np.array([-1, 1])
    again = model.moved(flip).moved(flip)
    np.testing.assert_allclose(model.moved(flip).bounds(), [[-4, 1], [2, 3]])
    np.testing.assert_allclose(again.bounds(), model.bounds())
    np.testing.assert_allclose(model.moved(flip).parts["eye"], [[-1, 2]])


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_picture(kind):
    first, again, other = draw(kind, 1), draw(kind, 1), draw(kind, 2)
    assert (first[0].dtype, first[0].shape) == (np.uint8, (32, 32, 3))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("resolution", [32, 64])
def test_critters_are_where_the_truth_says(resolution):
    errors = []
    for seed in range(60):
        pixels, scene = draw("critters", seed, resolution)
        [critter] = scene["objects"]
        errors.append(np.abs(center_of(found_object(pixels)) - critter["center"]).max())
    assert np.mean(errors) < 0.04
    assert np.quantile(errors, 0.9) < 0.1


def test_critters_have_the_promised_size_and_place():
    boxes = np.array([draw("critters", seed, 64)[1]["objects"][0]["box"] for seed in range(100)])
    edges = (boxes * 63 + 64) / 128  # 0 to 1 over the picture
    assert edges.min() >= -0.01
    assert edges.max() <= 1.01
    sides = (edges[:, 2:] - edges[:, :2]).max(axis=1)
    assert 0.36 < sides.min() < 0.45
    assert 0.55 < sides.max() < 0.62
    middles = (edges[:, 2:] + edges[:, :2]) / 2
    assert 0.23 < middles.min() < 0.3
    assert 0.7 < middles.max() < 0.77


def test_critters_own_their_parts():
    for seed in range(20):
        [critter] = draw("critters", seed, 64)[1]["objects"]
        counts = {name: len(points) for name, points in critter["parts"].items()}
        assert counts == {"head": 1, "ear": 2, "eye": 2, "leg": 4, "tail": 1}
        x0, y0, x1, y1 = critter["box"]
        for x, y in itertools.chain.from_iterable(critter["parts"].values()):
            assert x0 - 0.03 <= x <= x1 + 0.03
            assert y0 - 0.03 <= y <= y1 + 0.03
        assert max(y for _, y in critter["parts"]["ear"]) < min(y for _, y in critter["parts"]["leg"])


def test_eyes_are_eye_coloured():
    pixels, scene = draw("critters", 5, 128)
    for point in scene["objects"][0]["parts"]["eye"]:
        x, y = np.rint((np.array(point) + 1) / 2 * 127).astype(int)
        around = pixels[y - 3 : y + 4, x - 3 : x + 4].astype(int)
        assert around.sum(axis=2).min() < 150
        assert around.sum(axis=2).max() > 600


def test_rooms_hold_two_to_four_things():
    kinds = set()
    for seed in range(60):
        names = [thing["kind"] for thing in draw("rooms", seed, 64)[1]["objects"]]
        assert 2 <= len(names) <= 4
        assert len(set(names)) == len(names)
        kinds |= set(names)
    assert kinds == {"bed", "table", "lamp", "window", "rug"}


def test_playrooms_hold_three_large_toys_apart_from_each_other():
    kinds, middles = set(), []
    for seed in range(60):
        toys = draw("playrooms", seed, 64)[1]["objects"]
        assert len(toys) == 3
        kinds |= {toy["kind"] for toy in toys}
        boxes = np.array([toy["box"] for toy in toys]) / 2  # in sides of the picture
        assert (boxes[:, 2:] - boxes[:, :2]).max(axis=1).min() > 0.15
        assert (boxes[:, 2:] - boxes[:, :2]).max() < 0.4
        middles.append([toy["center"] for toy in toys])
    assert kinds == {"ball", "block", "cone"}
    apart = [np.hypot(*np.subtract(*pair)) / 2 for one in middles for pair in itertools.combinations(one, 2)]
    assert min(apart) > 0.28
    assert np.abs(np.mean(middles, axis=(0, 1))).max() < 0.15  # no place is more usual than another


def test_things_in_rooms_stand_off_their_surroundings():
    differing = []
    for seed in range(40):
        pixels, scene = draw("rooms", seed, 64)
        for thing in scene["objects"]:
            if thing["kind"] == "rug":  # its middle shows its own colour, its row's ends the floor's
                x, y = np.rint((np.array(thing["center"]) + 1) / 2 * 63).astype(int)
                differing.append(distance(pixels[y, x], pixels[y, [0, -1]]).max())
    assert len(differing) > 5
    assert np.mean(np.array(differing) > 0.3) > 0.9


def test_gradients_are_constant_along_rows_and_keep_their_distance():
    subject = np.array([128.0, 120.0, 140.0])
    for seed in range(30):
        background = gradient(np.random.default_rng(seed), 32, subject, contrast=0.5)
        assert np.ptp(background, axis=1).max() == 0
        assert distance(background, subject).min() > 0.4


def test_thousands_of_critters_take_well_under_a_minute():
    start = time.perf_counter()
    for seed in range(100):
        draw("critters", seed)
    assert (time.perf_counter() - start) / 100 * 5000 < 60
