"""Label maps and captions of data sets, of files, and of words on a command line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dnnlib.errors import UserError
from tests.training.data_samples import picture, write_zip
from training.data.conditions import discs, label_map, mirrored, parse_text, read_label_map, word_row
from training.data.conversion import convert
from training.data.dataset import ImageDataset
from training.data.ground_truth import encode_mask
from training.data.sources import open_source
from training.data.transforms import Transform

NAMES = ["background", "ball", "cone"]


def thing(kind: str, rows: slice, columns: slice, size: int = 8) -> dict:
    mask = np.zeros([size, size], dtype=bool)
    mask[rows, columns] = True
    return {"kind": kind, "center": [0.5, 0], "mask": encode_mask(mask)}


SCENES = {
    "0.png": {"objects": [thing("cone", slice(0, 2), slice(0, 3)), thing("ball", slice(1, 4), slice(0, 8))]},
    "1.png": {"objects": []},
}


def archive(path: Path, **metadata) -> Path:
    return write_zip(path / "data.zip", {f"{n}.png": picture(n) for n in range(2)}, metadata)


def labels_of(path: Path, condition: str) -> list[np.ndarray]:
    dataset = ImageDataset(path, use_labels=True, condition=condition)
    return [dataset.get_label(i) for i in range(len(dataset))]


def complaint(path: Path, condition: str) -> str:
    with pytest.raises(UserError) as error:
        labels_of(path, condition)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_data_set_gives_label_maps_mirrored_like_its_images(tmp_path: Path):
    dataset = ImageDataset(archive(tmp_path, scenes=SCENES), use_labels=True, condition="label-map", mirror=True)
    assert dataset.class_names == ["background", "ball", "cone"]
    assert (dataset.label_dim, len(dataset)) == (64, 4)
    rows = [dataset[i][1].reshape(8, 8) for i in range(4)]
    assert rows[0][:4].tolist() == [[2] * 3 + [0] * 5, [2] * 3 + [1] * 5, [1] * 8, [1] * 8]  # the cone is nearer
    assert not rows[0][4:].any()
    assert not rows[1].any()
    assert np.array_equal(rows[2], rows[0][:, ::-1])
    width, names, examples = dataset.label_facts()
    assert (width, names) == (64, ("background", "ball", "cone"))
    assert [list(example) for example in examples] == [rows[0].ravel().tolist(), rows[1].ravel().tolist()]


def test_a_data_set_gives_captions_mirrored_like_its_images(tmp_path: Path):
    captions = {"0.png": "A ball, left of a cone.", "1.png": "nothing"}
    path = archive(tmp_path, captions=captions)
    dataset = ImageDataset(path, use_labels=True, condition="text", mirror=True)
    assert dataset.class_names == ["", "a", "ball", "cone", "left", "nothing", "of", "right"]
    assert dataset.remarks() == [f"{path}: 7 words: a, ball, cone, left, nothing, of, right"]
    words = [[dataset.class_names[int(number)] for number in dataset.get_label(i)] for i in range(4)]
    assert words[0] == ["a", "ball", "left", "of", "a", "cone"]
    assert words[1] == ["nothing", "", "", "", "", ""]
    assert words[2] == ["a", "ball", "right", "of", "a", "cone"]
    assert mirrored("Left, leftover, RIGHT") == "right, leftover, left"


@pytest.mark.parametrize(
    ("scenes", "said"),
    [
        (None, "there are no scenes"),
        ({"0.png": SCENES["0.png"]}, "no scene for image 1"),
        ({"0.png": {"objects": [{"kind": "ball"}]}}, "not every object has a mask"),
        ({"0.png": {"objects": 3}}, "the scenes have no objects"),
        ({**SCENES, "1.png": {"objects": [thing("ball", slice(1), slice(1), 4)]}}, "masks of image 1 cannot be used"),
        ({**SCENES, "1.png": {"objects": [{"kind": "ball", "mask": {"size": 3}}]}}, "masks of image 1"),
    ],
)
def test_scenes_without_label_maps_are_refused(tmp_path: Path, scenes, said: str):
    message = complaint(archive(tmp_path, scenes=scenes), "label-map")
    assert said in message
    assert "toy --masks" in message


@pytest.mark.parametrize("captions", [None, {"0.png": "a"}])
def test_images_without_captions_are_refused(tmp_path: Path, captions):
    assert "has no caption" in complaint(archive(tmp_path, captions=captions), "text")


@pytest.mark.parametrize("captions", [["a"], {"0.png": 3, "1.png": "a"}])
def test_captions_that_are_no_texts_are_refused(tmp_path: Path, captions):
    message = complaint(archive(tmp_path, captions=captions), "text")
    assert 'dataset.json: "captions" must be texts by image name' in message


def test_conversion_keeps_captions(tmp_path: Path):
    captions = {"0.png": "a ball", "1.png": "two cones"}
    convert(open_source(archive(tmp_path, captions=captions)), str(tmp_path / "out.zip"), Transform(4, 4))
    dataset = ImageDataset(tmp_path / "out.zip", use_labels=True, condition="text")
    assert [dataset.caption(i) for i in range(2)] == ["a ball", "two cones"]


def test_an_unknown_condition_is_refused(tmp_path: Path):
    assert "data.condition words is unknown" in complaint(archive(tmp_path), "words")


def test_words_become_indices():
    names = ["", "a", "ball", "cone", "red"]
    assert parse_text("A red ball", names, 4).tolist() == [1, 4, 2, 0]
    assert word_row(["a"] * 9, {"a": 1}, 3).tolist() == [1, 1, 1]
    for text, said in (("a red bal", "the word bal; did you mean 'ball'?"), ("", "0 words"), ("a a a a a", "5 words")):
        with pytest.raises(UserError, match="--text") as error:
            parse_text(text, names, 4)
        assert said.replace("5 words", "5 words; this model takes from 1 to 4") in str(error.value)


def test_discs_become_a_label_map():
    classes = discs("ball:0,0,0.3; cone:1,1,0.5", NAMES, 9)
    assert classes.shape == (9, 9)
    assert (classes == 1).sum() == 5  # pixels are a quarter apart
    assert (classes[4, 4], classes[8, 8], classes[0, 0], classes[8, 4]) == (1, 2, 0, 0)
    assert discs("ball:0,0,9;cone:0,0,0.1", NAMES, 9)[4, 4] == 2
    assert not discs("", NAMES, 9).any()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ball", "give a PNG file, or discs"), ("ball:1,2", "give a PNG file, or discs"),
        ("box:0,0,1", "no class box; the classes are 0 background, 1 ball, 2 cone"), ("ball:0,0,-1", "RADIUS above 0"),
        ("ball:nan,0,1", "finite"),
    ],
)  # fmt: skip
def test_discs_that_are_none(text: str, said: str):
    with pytest.raises(UserError, match="--label-map") as error:
        discs(text, NAMES, 8)
    assert said in str(error.value)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_picture_of_class_numbers(tmp_path: Path, mode: str):
    classes = np.arange(64).reshape(8, 8) % 3
    image = Image.fromarray(classes.astype(np.uint8), "L")
    if mode == "P":
        image.putpalette([255, 0, 0] * 3)
        assert image.mode == "P"
    image.save(tmp_path / "map.png")
    assert read_label_map(tmp_path / "map.png", NAMES, 8).tolist() == classes.tolist()


def test_pictures_that_are_no_label_maps(tmp_path: Path):
    path = tmp_path / "map.png"
    for image, said in (
        (picture(0, 8), "its mode is RGB"),
        (Image.new("L", (4, 8)), "is 4x8; this model takes 8x8"),
        (Image.new("L", (8, 8), 3), "has class 3; the classes are 0 background, 1 ball, 2 cone"),
    ):
        image.save(path)
        with pytest.raises(UserError, match=r"map\.png") as error:
            read_label_map(path, NAMES, 8)
        assert said in str(error.value)
    path.write_bytes(b"none")
    for name in (path, tmp_path / "missing.png", tmp_path):
        with pytest.raises(UserError, match=r"--label-map .*cannot be read") as error:
            read_label_map(name, NAMES, 8)
        assert "\n" not in str(error.value)


def test_an_object_of_no_class_is_an_error():
    with pytest.raises(ValueError, match="tree"):
        label_map([thing("tree", slice(1), slice(1))], NAMES, 8)
