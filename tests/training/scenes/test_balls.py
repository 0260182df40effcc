"""Toy balls: whole, where the truth says, of the promised size, and lit from one side."""

import numpy as np

from tests.training.scenes.test_procedural import center_of, draw, found_object


def test_balls_are_where_the_truth_says():
    errors = []
    for seed in range(60):
        pixels, scene = draw("balls", seed)
        [ball] = scene["objects"]
        errors.append(np.abs(center_of(found_object(pixels)) - ball["center"]).max())
    assert np.mean(errors) < 0.05
    assert np.quantile(errors, 0.9) < 0.12


def test_balls_are_whole_and_have_the_promised_size_and_place():
    boxes = np.array([draw("balls", seed, 64)[1]["objects"][0]["box"] for seed in range(100)])
    edges = (boxes * 63 + 64) / 128  # 0 to 1 over the picture
    assert edges.min() >= -0.01
    assert edges.max() <= 1.01
    sides = (edges[:, 2:] - edges[:, :2]).max(axis=1)
    assert 0.34 < sides.min() < 0.39
    assert 0.46 < sides.max() < 0.51


def test_light_falls_on_them_from_above_at_the_left():
    for seed in range(20):
        pixels, scene = draw("balls", seed, 128)
        [light] = scene["objects"][0]["parts"]["light"]
        middle = np.array(scene["objects"][0]["center"])
        assert (np.array(light) < middle).all()
        bright, dark = (_brightness(pixels, point) for point in (light, 1.8 * middle - 0.8 * np.array(light)))
        assert bright > dark + 100


def _brightness(pixels: np.ndarray, point: np.ndarray) -> int:
    """The sum over channels of the pixel at (x, y) in [-1, 1]."""
    x, y = np.rint((np.asarray(point) + 1) / 2 * 127).astype(int)
    return int(pixels[y, x].astype(int).sum())
