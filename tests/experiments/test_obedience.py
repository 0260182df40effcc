"""Obedience: what is counted, on pictures whose answer is known, and that real pictures pass."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from dataset_tool import main as make_data
from dnnlib.errors import UserError
from experiments.studies.obedience import (
    JUDGES,
    classifier,
    held_out,
    is_as_said,
    labels_of,
    mean_iou,
    obedience,
    pictures_of,
    places,
    segmented,
)
from training.data.dataset import ImageDataset
from training.scenes.colors import NAMED


@pytest.fixture(scope="module")
def toys(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "toys.zip"
    options = ["--kind=playrooms", "--objects=2", "--images=40", "--resolution=32", "--masks", "--captions"]
    assert CliRunner().invoke(make_data, ["toy", f"--dest={path}", *options]).exit_code == 0
    return path


def painted(*spots: tuple[str, int, int]) -> np.ndarray:
    picture = np.full([16, 16, 3], 230, dtype=np.uint8)
    for name, x, y in spots:
        picture[y : y + 4, x : x + 4] = NAMED[name]
    return picture


def test_where_colours_are():
    found = places(painted(("red", 0, 0), ("blue", 12, 8)))
    assert {name: place.tolist() for name, place in found.items()} == {"red": [1.5, 1.5], "blue": [13.5, 9.5]}


@pytest.mark.parametrize(
    ("caption", "answer"),
    [
        ("a red ball left of a blue cone", True), ("a blue cone left of a red ball", False),
        ("a red ball above a blue cone", True), ("a red ball below a blue cone", False),
        ("a red ball left of a green cone", False),
    ],
)  # fmt: skip
def test_colours_and_sides(caption: str, answer: bool):
    assert is_as_said(painted(("red", 0, 0), ("blue", 12, 8)), caption) is answer


def test_a_third_colour_that_is_larger_counts_against_a_picture():
    picture = painted(("red", 0, 0), ("blue", 12, 0), ("green", 0, 8), ("green", 4, 8))
    assert not is_as_said(picture, "a red ball left of a blue cone")
    with pytest.raises(UserError, match="does not say where one or two"):
        is_as_said(picture, "a red ball")


def test_one_thing_and_its_side():
    places_said = "on the left", "on the right", "in the middle"
    for x, answers in ((0, [True, False, False]), (6, [False, True, True]), (11, [False, True, False])):
        picture = painted(("red", x, 2))
        assert [is_as_said(picture, f"a red ball {where}") for where in places_said] == answers
        assert not any(is_as_said(picture, f"a blue ball {where}") for where in places_said)


def test_intersection_over_union():
    wanted = np.array([[[0, 0], [1, 1]]])
    found = np.array([[[0, 1], [1, 1]]])
    assert mean_iou(found, wanted, 3) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert mean_iou(wanted, wanted, 3) == 1


def test_a_segmentation_by_colour_finds_what_was_painted():
    picture, classes = painted(("red", 0, 0), ("blue", 12, 8)), np.zeros([16, 16], dtype=int)
    classes[0:4, 0:4], classes[8:12, 12:16] = 1, 2
    assert np.array_equal(segmented(picture, classes), classes)
    shifted = np.roll(classes, 2, axis=1)
    assert mean_iou(segmented(picture, shifted)[None], shifted[None], 3) < 0.8


@pytest.mark.parametrize(("condition", "least", "most"), [("label-map", 0.85, 0.6), ("text", 0.85, 0.3)])
def test_real_pictures_obey_their_own_conditions_and_no_others(toys: Path, condition: str, least: float, most: float):
    dataset = ImageDataset(toys, use_labels=True, condition=condition)
    judge, items = JUDGES[condition][1](dataset), list(range(40))
    pictures = pictures_of(dataset, items)
    assert judge(pictures, items) >= least
    assert judge(pictures, items[1:] + items[:1]) <= most


def test_real_pictures_are_judged_by_what_has_not_seen_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    words = ["toy", "--kind=balls", "--images=50", "--resolution=16", f"--dest={tmp_path / 'balls.zip'}"]
    assert CliRunner().invoke(make_data, words).exit_code == 0
    dataset = ImageDataset(tmp_path / "balls.zip")
    unseen, trained = held_out(dataset), []
    classes = lambda data, items: torch.eye(2)[[item % 2 for item in items]]  # noqa: E731
    monkeypatch.setattr("experiments.studies.obedience.labels_of", classes)
    monkeypatch.setattr(
        "experiments.studies.obedience.classifier",
        lambda images, classes, count: trained.append(len(images)) or (lambda shown: torch.zeros(len(shown), 2)),
    )
    asked = []

    class Model:
        class config:
            generator, data = type("", (), {"c_dim": 2}), type("", (), {"condition": "labels"})

        def images(self, seeds, labels):
            asked.append(len(seeds))
            return torch.zeros(len(seeds), 3, 16, 16)

    obedience(Model(), dataset, 1000)
    assert (trained, asked) == ([40], [10])
    assert len(set(unseen)) == 10


def test_a_classifier_learns_what_is_easy():
    classes = torch.arange(96) % 3
    images = classes[:, None, None, None].float().expand(-1, 3, 16, 16) - 1
    assert (classifier(images, classes, 3)(images).argmax(1) == classes).all()


def test_a_generator_that_shows_the_data_obeys_as_the_data_does(toys: Path):
    dataset = ImageDataset(toys, use_labels=True, condition="text")
    rows = labels_of(dataset, range(40))

    class Copying:
        class config:
            generator, data = type("", (), {"c_dim": rows.shape[1]}), type("", (), {"condition": "text"})

        def images(self, seeds, labels):
            items = [int((rows == row).all(1).nonzero()[0]) for row in labels]
            return torch.from_numpy(pictures_of(dataset, items)).permute(0, 3, 1, 2).float() / 127.5 - 1

    found = obedience(Copying(), dataset, 20)
    assert found["generated"] >= 0.8
    assert found["real, others'"] < 0.5
