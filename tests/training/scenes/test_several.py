"""Scenes of several cut-outs: what lies before what, and the truth of each object."""

import numpy as np
import pytest
from PIL import Image

from dnnlib.errors import UserError
from tests.training.scenes.test_compose import objects, write_cutout
from training.data.ground_truth import decode_mask, encode_mask, mirrored
from training.scenes.compose import Placement, load_photos
from training.scenes.several import Arrangement, Grounds, compose_several

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
PLACEMENT = Placement(64, 0.3, 0.4)


@pytest.fixture
def things(tmp_path):
    for name, color in COLORS.items():
        write_cutout(tmp_path / "things" / f"{name}.png", color, size=(60, 60), drawn_box=(5, 5, 55, 55))
    return objects(tmp_path / "things", PLACEMENT)


PLAIN = Grounds()


def scenes(things, arrangement, count=40, grounds=PLAIN):
    return [compose_several(np.random.default_rng(n), things, PLACEMENT, arrangement, grounds) for n in range(count)]


def test_the_number_of_objects_and_their_distances(things):
    found = scenes(things, Arrangement((2, 4), margin=0.2, apart=0.35))
    numbers = {len(scene["objects"]) for _, scene in found}
    assert numbers == {2, 3, 4}
    for _, scene in found:
        centers = np.array([thing["center"] for thing in scene["objects"]])
        gaps = np.hypot(*np.moveaxis(centers[:, None] - centers, -1, 0)) + 9 * np.eye(len(centers))
        if len(centers) < 4:
            assert gaps.min() > 0.5


def test_masks_boxes_and_centers_are_those_of_what_is_seen(things):
    for pixels, scene in scenes(things, Arrangement((3, 3), apart=0.0, masks=True)):
        for thing in scene["objects"]:
            mask = decode_mask(thing["mask"])
            distance = np.abs(pixels[mask].astype(int) - COLORS[thing["kind"]]).sum(1)
            assert np.median(distance) < 30
            rows, columns = np.nonzero(mask)
            left, top, right, bottom = (np.array(thing["box"]) * 63 + 64) / 2
            assert (left, top, right, bottom) == pytest.approx(
                (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), abs=0.01
            )
            seen = (np.array(thing["center"]) * 63 + 64) / 2 - 0.5
            np.testing.assert_allclose(seen, (columns.mean(), rows.mean()), atol=0.8)


def test_the_nearest_comes_first_and_is_whole(things):
    found = [scene["objects"] for _, scene in scenes(things, Arrangement((3, 3), apart=0.0))]
    assert all(one[0]["visible"] == 1 for one in found)
    assert min(thing["visible"] for one in found for thing in one) < 0.8


def test_floors_lie_below_walls(things, tmp_path):
    for name, color in {"wall": (200, 200, 0), "floor": (0, 200, 200)}.items():
        (tmp_path / name).mkdir()
        Image.new("RGB", (100, 80), color).save(tmp_path / name / "a.webp", lossless=True)
    wall, floor = (list(load_photos(tmp_path / name, 64)[0].values()) for name in ("wall", "floor"))
    for pixels, _ in scenes(things, Arrangement((1, 1)), 10, Grounds(wall, floor)):
        assert pixels[0, 0].tolist() == [200, 200, 0]
        assert pixels[-1, 0].tolist() == [0, 200, 200]
        assert 0.4 < (pixels[:, 0] == [200, 200, 0]).all(1).mean() < 0.7


def test_run_lengths_there_and_back_and_mirrored():
    mask = np.random.default_rng(0).random((5, 7)) < 0.4
    for one in (mask, np.ones((3, 2), bool), np.zeros((2, 3), bool)):
        assert np.array_equal(decode_mask(encode_mask(one)), one)
    assert encode_mask(np.array([[0, 1], [0, 1]], bool)) == {"size": [2, 2], "counts": [2, 2]}
    scene = mirrored({"objects": [{"center": [0.5, 0.1], "mask": encode_mask(mask)}]})
    assert np.array_equal(decode_mask(scene["objects"][0]["mask"]), mask[:, ::-1])
    with pytest.raises(ValueError, match="runs of 3 pixels"):
        decode_mask({"size": [2, 2], "counts": [1, 2]})


def test_impossible_arrangements_are_refused():
    with pytest.raises(UserError, match=r"--margin 0\.5"):
        Arrangement(margin=0.5)
    with pytest.raises(UserError, match="--apart nan"):
        Arrangement(apart=float("nan"))
