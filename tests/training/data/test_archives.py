"""Folders and zip files as users and other programs make them: odd names, odd files, dataset.json in odd places."""

import json
import os
import socket
import unicodedata
import zipfile

import numpy as np
import pytest
from PIL import Image

from dnnlib.errors import UserError
from metrics.image_files import ImageFiles
from tests.training.data_samples import encoded, picture, write_folder, write_zip
from tests.training.tool import contents, convert, images, refused
from training.data.dataset import ImageDataset
from training.data.labels import MAX_CLASSES, in_natural_order


def labels_of(path) -> dict[str, int]:
    """{image name: class number} of a data set."""
    dataset = ImageDataset(path, use_labels=True)
    return {name: int(dataset.get_label(i).argmax()) for i, name in enumerate(dataset.image_names)}


def refusal(path) -> str:
    with pytest.raises(UserError) as caught:
        ImageDataset(path, use_labels=True)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- which files --


def test_pictures_go_by_their_content(tmp_path):
    files = {"a.jfif": encoded(picture(1), "jpeg"), "b": picture(2), "c.heic": b"\0\0\0\x18ftypheic", "d.txt": b"d"}
    dataset = ImageDataset(write_folder(tmp_path / "a", files))
    assert dataset.image_names == ["a.jfif", "b"]
    assert "1 .heic, 1 .txt; the first: c.heic" in dataset.notes[0]
    assert "1 .heic, 1 .txt" in convert(tmp_path / "a", tmp_path / "out.zip")


def test_a_link_to_its_own_folder_adds_nothing(tmp_path):
    source = write_folder(tmp_path / "a", {f"x/{i}.png": picture(i) for i in range(3)})
    (source / "x" / "again").symlink_to(source)
    (source / "other").symlink_to(source / "x")
    assert ImageDataset(source).image_names == ["x/0.png", "x/1.png", "x/2.png"]


def test_links_to_other_folders_are_followed(tmp_path):
    write_folder(tmp_path / "elsewhere", {"0.png": picture(0)})
    source = write_folder(tmp_path / "a", {"cat/1.png": picture(1)})
    (source / "dog").symlink_to(tmp_path / "elsewhere")
    assert labels_of(source) == {"cat/1.png": 0, "dog/0.png": 1}


def test_pipes_sockets_and_broken_links_are_passed_over(tmp_path):
    source = write_folder(tmp_path / "a", {"0.png": picture(0)})
    os.mkfifo(source / "1.png")
    (source / "2.png").symlink_to("nowhere.png")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(source)  # addresses of sockets are short
        try:
            listener.bind("3.png")
        finally:
            os.chdir(here)
        dataset = ImageDataset(source)
    assert dataset.image_names == ["0.png"]
    assert "pipes or devices (2)" in dataset.notes[0]
    assert "broken links (1)" in dataset.notes[0]
    assert len(ImageFiles(source)) == 1
    os.mkfifo(tmp_path / "b.zip")
    assert "pipe" in refusal(tmp_path / "b.zip")
    assert "pipe" in refused(f"--source={tmp_path / 'b.zip'}", f"--dest={tmp_path / 'out.zip'}")


# -- dataset.json --


@pytest.mark.parametrize("write", [write_folder, write_zip])
@pytest.mark.parametrize("inner", ["", "x/"])
def test_dataset_json_in_the_only_top_folder(tmp_path, write, inner):
    labels = [[f"{inner}{i}.png", i % 5] for i in range(10)]
    files = {f"mydata/{name}": picture(i) for i, (name, _) in enumerate(labels)}
    files["mydata/dataset.json"] = json.dumps({"labels": labels}).encode()
    path = write(tmp_path / "a.zip", files)
    assert labels_of(path) == {f"mydata/{name}": label for name, label in labels}
    assert "5 classes" in convert(path, tmp_path / "out.zip")


def test_scenes_of_a_wrapped_data_set(tmp_path):
    scene = {"objects": [{"center": [0.5, 0]}]}
    metadata = json.dumps({"labels": None, "scenes": {"0.png": scene}}).encode()
    path = write_zip(tmp_path / "a.zip", {"mydata/0.png": picture(0), "mydata/dataset.json": metadata})
    assert ImageDataset(path).scene(0) == scene


@pytest.mark.parametrize(
    "stored, named", [("a\\0.png", "a\\0.png"), ("a/0.png", "./a/0.png"), ("./a/0.png", "a/0.png")]
)
def test_names_with_backslashes_and_dots(tmp_path, stored, named):
    path = write_zip(tmp_path / "a.zip", {stored: picture(0), "b/1.png": picture(1)})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("dataset.json", json.dumps({"labels": [[named, 1], ["b/1.png", 0]]}))
    assert labels_of(path) == {"a/0.png": 1, "b/1.png": 0}
    np.testing.assert_array_equal(ImageDataset(path)[0][0], np.asarray(picture(0)).transpose(2, 0, 1))


@pytest.mark.parametrize("write", [write_folder, write_zip])
def test_accents_in_either_form(tmp_path, write):
    name = "né.png"
    files = {unicodedata.normalize("NFD", name): picture(0), "b.png": picture(1)}
    path = write(tmp_path / "a.zip", files, {"labels": [[unicodedata.normalize("NFC", name), 1], ["b.png", 0]]})
    assert sorted(labels_of(path).values()) == [0, 1]


@pytest.mark.parametrize(
    "content, complaint",
    [
        (b"[" * 100_000, "nested too deep"),
        (b"{" + b"\xff" * 10, "not valid JSON"),
        (b'{"labels": [["0.png", 1' + b"0" * 30 + b"]]}", "the label of 0.png"),
        (b'{"labels": [["0.png", 1' + b"0" * 5000 + b"]]}", "not valid JSON"),
        (b'{"labels": [["0.png", NaN]]}', "the label of 0.png"),
        (b'{"labels": [["0.png", [1e39]]]}', "the label of 0.png"),
        (b'{"labels": [["0.png", []]]}', "the label of 0.png"),
        (b'{"labels": [["0.png", true]]}', "the label of 0.png"),
        (b'{"labels": [["0.png", 0], ["./0.png", 1]]}', "two different labels for 0.png"),
        (b'{"labels": [["0.png", 3]], "classes": ["a"]}', '"classes" has 1 names'),
        (b'{"labels": [["0.png", 0]], "classes": {"a": 1}}', '"classes" must be'),
        (b'{"labels": 5}', "[file name, label]"),
    ],
)
def test_odd_contents_are_one_line(tmp_path, content, complaint):
    assert complaint in refusal(write_zip(tmp_path / "a.zip", {"0.png": picture(0), "dataset.json": content}))


def test_a_dataset_json_that_is_too_long_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("training.data.archives.METADATA_LIMIT", 1000)
    path = write_zip(tmp_path / "a.zip", {"0.png": picture(0), "dataset.json": b" " * 1001})
    assert "more than 1000 bytes" in refusal(path)


def test_an_encrypted_entry_is_called_so(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"0.png": picture(0)}, {"labels": None})
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")  # of dataset.json
    data[entry + 8] |= 1  # flags
    path.write_bytes(data)
    assert "is encrypted" in refusal(path)


def test_a_wrong_checksum_of_dataset_json(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"0.png": picture(0)}, {"labels": [["0.png", 0]]})
    path.write_bytes(path.read_bytes().replace(b'"0.png", 0', b'"0.png", 1'))
    assert "Bad CRC-32" in refusal(path)


def test_a_broken_link_as_dataset_json(tmp_path):
    source = write_folder(tmp_path / "a", {"x/0.png": picture(0), "y/1.png": picture(1)})
    (source / "dataset.json").symlink_to("nowhere")
    assert "dataset.json is no file that can be read (broken links)" in refusal(source)


# -- classes --


def test_folders_with_numbers_are_in_their_order(tmp_path):
    names = ["0", "1", "2", "10", "11", "a2", "a10"]
    path = write_zip(tmp_path / "a.zip", {f"{name}/0.png": picture() for name in reversed(names)})
    assert ImageDataset(path, use_labels=True).class_names == names
    convert(path, tmp_path / "out.zip")
    assert contents(tmp_path / "out.zip")[1]["classes"] == names
    assert sorted(["x" + "9" * 6000, "x10", "x9"], key=in_natural_order)[:2] == ["x9", "x10"]


@pytest.mark.parametrize("numbers", [[1, 2, 3], [561462394, 638577443, 691798228], [0, 5, 2**63 - 1]])
def test_numbers_with_gaps_become_names(tmp_path, numbers):
    files = {f"{i}.png": picture(i) for i in range(3)}
    path = write_zip(tmp_path / "a.zip", files, {"labels": [[name, n] for name, n in zip(files, numbers, strict=True)]})
    dataset = ImageDataset(path, use_labels=True)
    assert (dataset.label_dim, dataset.class_names) == (3, [str(number) for number in numbers])
    assert labels_of(path) == {"0.png": 0, "1.png": 1, "2.png": 2}
    assert "become classes 0 to 2" in dataset.notes[0]
    assert dataset.label_facts() == (3, tuple(map(str, numbers)), ())
    convert(path, tmp_path / "out.zip")
    assert ImageDataset(tmp_path / "out.zip", use_labels=True).class_names == dataset.class_names


def test_numbers_without_gaps_stay(tmp_path):
    metadata = {"labels": [["0.png", 1], ["1.png", 0]]}
    path = write_zip(tmp_path / "a.zip", {"0.png": picture(0), "1.png": picture(1)}, metadata)
    assert ImageDataset(path, use_labels=True).label_facts() == (2, (), ())


def test_labels_of_images_that_are_not_there_are_said(tmp_path):
    for folder in ("", "mine/"):
        metadata = json.dumps({"labels": [[f"{i}.png", i % 2] for i in range(5)]})
        files = {f"{folder}{i}.png": picture(i) for i in range(3)} | {f"{folder}dataset.json": metadata.encode()}
        (note,) = ImageDataset(write_zip(tmp_path / "a.zip", files), use_labels=True).notes
        assert note.endswith("dataset.json: 2 of 5 labels are of no image here, the first: 3.png")
    metadata = {"labels": [["0.png", 7], ["1.png", 9]]}
    (note,) = ImageDataset(write_zip(tmp_path / "a.zip", {"0.png": picture(0)}, metadata), use_labels=True).notes
    assert "become classes 0 to 1" in note
    assert note.endswith("1 of 2 labels are of no image here, the first: 1.png")


def test_lists_of_numbers_give_examples(tmp_path):
    files = {f"{i}.png": picture(i) for i in range(3)}
    path = write_zip(tmp_path / "a.zip", files, {"labels": [[name, [i, 0.5]] for i, name in enumerate(files)]})
    assert ImageDataset(path, use_labels=True).label_facts() == (2, (), ((0, 0.5), (1, 0.5), (2, 0.5)))


def test_too_many_classes(tmp_path):
    labels = [["0.png", 2 * i] for i in range(1)] + [[f"{i}.png", 2 * i] for i in range(1, MAX_CLASSES + 1)]
    path = write_zip(tmp_path / "a.zip", {"0.png": picture(0)}, {"labels": labels})
    assert f"{MAX_CLASSES} classes are the most" in refusal(path)


# -- upright --


def turned(format: str) -> tuple[bytes, np.ndarray]:
    """A picture to be turned clockwise, and how it is upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif, **({"lossless": True} if format == "webp" else {})}
    image = picture(1, 8)
    return encoded(image, format, **options), np.asarray(image.rotate(-90))


@pytest.mark.parametrize("format", ["png", "webp", "tiff"])
def test_raw_data_are_turned_upright_as_by_the_tool(tmp_path, format):
    data, expected = turned(format)
    source = write_folder(tmp_path / "a", {f"x.{format}": data})
    np.testing.assert_array_equal(ImageDataset(source)[0][0], expected.transpose(2, 0, 1))
    np.testing.assert_array_equal(ImageFiles(source)[0][0], expected.transpose(2, 0, 1))
    convert(source, tmp_path / "out.zip")
    np.testing.assert_array_equal(images(tmp_path / "out.zip")[0], expected)
