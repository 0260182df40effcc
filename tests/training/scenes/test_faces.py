"""Toy faces: whole, where the truth says, with eyes and a mouth in their places."""

import numpy as np

from tests.training.scenes.test_procedural import center_of, draw, found_object


def test_faces_are_where_the_truth_says():
    errors = []
    for seed in range(60):
        pixels, scene = draw("faces", seed)
        [face] = scene["objects"]
        errors.append(np.abs(center_of(found_object(pixels)) - face["center"]).max())
    assert np.mean(errors) < 0.05
    assert np.quantile(errors, 0.9) < 0.12


def test_faces_are_whole_and_have_the_promised_size_and_place():
    boxes = np.array([draw("faces", seed, 64)[1]["objects"][0]["box"] for seed in range(100)])
    edges = (boxes * 63 + 64) / 128  # 0 to 1 over the picture
    assert edges.min() >= -0.01
    assert edges.max() <= 1.01
    sides = (edges[:, 2:] - edges[:, :2]).max(axis=1)
    assert 0.38 < sides.min() < 0.43
    assert 0.46 < sides.max() < 0.51
    middles = (edges[:, 2:] + edges[:, :2]) / 2
    assert 0.24 < middles.min() < 0.3
    assert 0.7 < middles.max() < 0.76


def test_eyes_are_above_the_mouth_and_white_around_a_dark_pupil():
    for seed in range(20):
        pixels, scene = draw("faces", seed, 128)
        parts = scene["objects"][0]["parts"]
        assert {name: len(points) for name, points in parts.items()} == {"eye": 2, "mouth": 1}
        assert max(y for _, y in parts["eye"]) < parts["mouth"][0][1]
        for point in parts["eye"]:
            x, y = np.rint((np.array(point) + 1) / 2 * 127).astype(int)
            around = pixels[y - 7 : y + 8, x - 7 : x + 8].astype(int).sum(axis=2)
            assert around.max() > 700
            assert around.min() < 100
