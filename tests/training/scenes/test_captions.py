"""Pictures in words: rules of a scene's truth, colours with names, and what dataset_tool.py writes."""

import json
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner

from dataset_tool import main
from training.data.dataset import ImageDataset
from training.data.ground_truth import decode_mask, mirrored
from training.scenes import colors
from training.scenes.captions import caption
from training.scenes.playrooms import playroom


def scene(*things: tuple[str, str, float, float]) -> dict:
    return {"objects": [{"kind": kind, "color": color, "center": [x, y]} for kind, color, x, y in things]}


@pytest.mark.parametrize(
    ("things", "text"),
    [
        ([], "nothing"),
        ([("ball", "red", -0.5, 0)], "a red ball on the left"),
        ([("ball", "orange", 0.1, 0)], "an orange ball in the middle"),
        ([("cone", "", 0.3, 0)], "a cone on the right"),
        ([("ball", "red", 0.5, 0), ("cone", "blue", -0.5, 0.2)], "a blue cone left of a red ball"),
        ([("ball", "red", 0, -0.5), ("cone", "blue", 0.1, 0.5)], "a red ball above a blue cone"),
        ([("ball", "red", 0, 0.5), ("cone", "blue", 0.1, -0.5)], "a red ball below a blue cone"),
        ([("ball", "red", 0, 0), ("cone", "blue", 0.6, 0), ("block", "green", -0.6, 0)],
         "a green block left of a red ball left of a blue cone"),
    ],
)  # fmt: skip
def test_a_scene_in_words(things, text: str):
    assert caption(scene(*things)) == text


def test_the_mirrored_picture_has_a_caption_of_its_own():
    two = scene(("ball", "red", 0.5, 0), ("cone", "blue", -0.5, 0.2))
    assert caption(mirrored(two)) == "a red ball left of a blue cone"


def test_colours_with_names():
    assert [colors.name_of(color) for color in colors.NAMED.values()] == list(colors.NAMED)
    assert [colors.name_of(c) for c in ((250, 10, 20), (0, 10, 0), (130, 120, 125))] == ["red", "black", "grey"]


def test_playrooms_with_named_colours_are_described_and_masked(tmp_path):
    options = ["--kind=playrooms", "--objects=2", "--captions", "--masks", "--images=6", "--resolution=32"]
    result = CliRunner().invoke(main, ["toy", f"--dest={tmp_path / 'a.zip'}", *options])
    assert result.exit_code == 0, result.output
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        about = json.loads(file.read("dataset.json"))
    for name, described in about["scenes"].items():
        assert about["captions"][name] == caption(described)
        assert len({thing["color"] for thing in described["objects"]}) == 2
    dataset = ImageDataset(tmp_path / "a.zip", use_labels=True, condition="label-map")
    for index in range(6):
        image, row = dataset[index]
        for thing in dataset.scene(index)["objects"]:
            mask = decode_mask(thing["mask"])
            assert {dataset.class_names[int(n)] for n in row.reshape(32, 32)[mask]} == {thing["kind"]}
            median = np.median(image[:, mask], axis=1)
            assert colors.name_of(median) == thing["color"]


def test_without_the_options_there_are_neither(tmp_path):
    CliRunner().invoke(main, ["toy", f"--dest={tmp_path / 'a.zip'}", "--images=2", "--resolution=16"])
    dataset = ImageDataset(tmp_path / "a.zip")
    assert dataset.captions == {}
    assert all("mask" not in thing for n in range(2) for thing in dataset.scene(n)["objects"])


def test_names_change_nothing_else_of_a_playroom():
    plain, named = (playroom(np.random.default_rng(3), 32, 2, named)[1]["objects"] for named in (False, True))
    assert [thing["center"] for thing in plain] != []
    assert {thing["color"] for thing in named} <= set(colors.NAMED)
