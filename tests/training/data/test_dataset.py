import json
import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from dnnlib.errors import UserError
from tests.training.data_samples import encoded, picture, write_folder, write_zip
from training.data import image_files
from training.data.dataset import ImageDataset

NAMES = [f"00000/img{i:08d}.png" for i in range(6)]
PICTURES = {name: picture(i) for i, name in enumerate(NAMES)}


def as_array(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)


def one_line_error(*args, **kwargs) -> str:
    """The message with which reading a whole data set fails."""
    with pytest.raises(UserError) as caught:
        list(items(ImageDataset(*args, **kwargs)))
    message = str(caught.value)
    assert "\n" not in message
    return message


def items(dataset):
    return (dataset[i] for i in range(len(dataset)))


@pytest.fixture
def archive(tmp_path):
    return write_zip(tmp_path / "six.zip", PICTURES, {"labels": None})


@pytest.mark.parametrize("write", [write_zip, write_folder])
def test_items_are_the_stored_pixels(tmp_path, write):
    dataset = ImageDataset(write(tmp_path / "six.zip", PICTURES, {"labels": None}))
    assert (dataset.name, len(dataset), dataset.image_shape) == ("six", 6, (3, 8, 8))
    assert (dataset.resolution, dataset.num_channels, dataset.has_labels, dataset.label_dim) == (8, 3, False, 0)
    for (image, label), expected in zip(items(dataset), PICTURES.values(), strict=True):
        assert image.dtype == np.uint8
        assert label.dtype == np.float32
        assert label.shape == (0,)
        np.testing.assert_array_equal(image, as_array(expected))


def test_without_pyspng_the_pixels_are_the_same(archive, monkeypatch):
    fast = [image for image, _ in items(ImageDataset(archive))]
    monkeypatch.setattr(image_files, "pyspng", None)
    slow = [image for image, _ in items(ImageDataset(archive))]
    np.testing.assert_array_equal(fast, slow)


@pytest.mark.parametrize("mode, channels", [("L", 1), ("RGB", 3)])
@pytest.mark.parametrize("format", ["png", "bmp"])
def test_grey_and_rgb_of_several_formats(tmp_path, mode, channels, format):
    image = picture(3, 16, mode)
    dataset = ImageDataset(write_zip(tmp_path / "a.zip", {f"x.{format}": encoded(image, format)}))
    assert dataset.image_shape == (channels, 16, 16)
    np.testing.assert_array_equal(dataset[0][0], as_array(image))


def test_palette_images_are_rgb(tmp_path):
    image = picture(1).quantize(16)
    dataset = ImageDataset(write_zip(tmp_path / "a.zip", {"x.png": image}))
    np.testing.assert_array_equal(dataset[0][0], as_array(image.convert("RGB")))


def test_numbers_become_one_hot(tmp_path):
    labels = [[name, i % 3] for i, name in enumerate(NAMES)]
    dataset = ImageDataset(write_zip(tmp_path / "a.zip", PICTURES, {"labels": labels}), use_labels=True)
    assert (dataset.label_dim, dataset.has_labels) == (3, True)
    np.testing.assert_array_equal([label for _, label in items(dataset)], np.eye(3)[[0, 1, 2, 0, 1, 2]])


def test_vectors_stay(tmp_path):
    labels = [[name, [i, 0.5]] for i, name in enumerate(NAMES)]
    dataset = ImageDataset(write_zip(tmp_path / "a.zip", PICTURES, {"labels": labels}), use_labels=True)
    assert dataset.label_dim == 2
    np.testing.assert_array_equal(dataset.get_label(4), np.float32([4, 0.5]))


def test_last_classes_without_images_have_no_name(tmp_path):
    labels = [[name, number % 2] for number, name in enumerate(NAMES)]
    about = {"labels": labels, "classes": ["ant", "bee", "cat"]}
    dataset = ImageDataset(write_zip(tmp_path / "a.zip", PICTURES, about), use_labels=True)
    assert dataset.label_facts()[:2] == (2, ("ant", "bee"))


def test_labels_that_are_not_used_are_known(tmp_path):
    labels = [[name.replace("/", "\\"), 1] for name in NAMES]
    dataset = ImageDataset(write_zip(tmp_path / "a.zip", PICTURES, {"labels": labels}))
    assert (dataset.has_labels, dataset.label_dim, dataset[0][1].shape) == (True, 0, (0,))


@pytest.mark.parametrize("write", [write_zip, write_folder])
@pytest.mark.parametrize("prefix", ["", "everything/"])
def test_sub_folders_are_labels(tmp_path, write, prefix):
    files = {f"{prefix}{name}.png": picture() for name in ("dog/0", "cat/1", "cat/deep/2", "yak/3")}
    dataset = ImageDataset(write(tmp_path / "a.zip", files), use_labels=True)
    assert dataset.classes == ["cat", "dog", "yak"]
    classes = {name: int(dataset.get_label(i).argmax()) for i, name in enumerate(dataset.image_names)}
    assert {name.removeprefix(prefix)[:3]: label for name, label in classes.items()} == {"cat": 0, "dog": 1, "yak": 2}


@pytest.mark.parametrize(
    "names",
    [
        ["00000/img00000999.png", "00001/img00001000.png"],
        ["00000/00999.png", "01000/01000.png"],
        ["a.png", "b.png"],
        ["cat/a.png", "b.png"],
        ["cat/a.png", "cat/b.png"],
    ],
)
def test_other_trees_have_no_labels(tmp_path, names):
    path = write_zip(tmp_path / "a.zip", {name: picture() for name in names})
    assert not ImageDataset(path).has_labels
    assert "sub-folder" in one_line_error(path, use_labels=True)
    assert "dataset.json" in one_line_error(path, use_labels=True)


def test_null_labels_count_more_than_folders(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"cat/a.png": picture(), "dog/b.png": picture()}, {"labels": None})
    assert not ImageDataset(path).has_labels


@pytest.mark.parametrize(
    "metadata, complaint",
    [
        ({"labels": [[name, 0] for name in NAMES[:-1]]}, NAMES[-1]),
        ({"labels": [[name, i or [1.0]] for i, name in enumerate(NAMES)]}, "all whole numbers"),
        ({"labels": [[name, [1] * (i + 1)] for i, name in enumerate(NAMES)]}, "one length"),
        ({"labels": [[name, -1] for name in NAMES]}, "-1"),
        ({"labels": [[name, "cat"] for name in NAMES]}, "'cat'"),
        ({"labels": NAMES}, "[file name, label]"),
        ({"labels": {"a": 1}}, "[file name, label]"),
        ([1, 2], "JSON object"),
    ],
)
def test_bad_labels_are_refused(tmp_path, metadata, complaint):
    path = write_zip(tmp_path / "a.zip", PICTURES, metadata)
    message = one_line_error(path, use_labels=True)
    assert complaint in message
    assert "dataset.json" in message


def test_metadata_that_is_not_json(tmp_path):
    path = write_zip(tmp_path / "a.zip", {**PICTURES, "dataset.json": b"{'labels'"})
    assert "dataset.json" in one_line_error(path)


def test_mirror_doubles_the_data(tmp_path):
    labels = [[name, i] for i, name in enumerate(NAMES)]
    dataset = ImageDataset(write_zip(tmp_path / "a.zip", PICTURES, {"labels": labels}), mirror=True, use_labels=True)
    assert len(dataset) == 12
    for i in range(6):
        np.testing.assert_array_equal(dataset[i + 6][0], dataset[i][0][:, :, ::-1])
        np.testing.assert_array_equal(dataset[i + 6][1], dataset[i][1])
    with pytest.raises(IndexError):
        dataset[12]


def test_scenes_are_mirrored_with_their_images(tmp_path):
    thing = {"kind": "critter", "center": [0.2, -0.1], "box": [-0.3, -0.5, 0.6, 0.4], "parts": {"eye": [[0.4, -0.3]]}}
    scenes = {name: {"objects": [thing]} for name in NAMES[:5]}
    dataset = ImageDataset(write_zip(tmp_path / "a.zip", PICTURES, {"labels": None, "scenes": scenes}), mirror=True)
    assert dataset.scenes == scenes
    assert dataset.scene(0) == {"objects": [thing]}
    assert dataset.scene(5) is None
    assert dataset.scene(11) is None
    [flipped] = dataset.scene(6)["objects"]
    assert flipped == {
        "kind": "critter",
        "center": [-0.2, -0.1],
        "box": [-0.6, -0.5, 0.3, 0.4],
        "parts": {"eye": [[-0.4, -0.3]]},
    }


def test_no_scenes(archive):
    dataset = ImageDataset(archive)
    assert dataset.scenes == {}
    assert dataset.scene(0) is None


def test_subset_is_random_but_fixed_by_the_seed(archive):
    subsets = [tuple(ImageDataset(archive, max_size=3, seed=seed).image_names) for seed in (0, 0, 1, 2, 3)]
    assert subsets[0] == subsets[1]
    assert len(set(subsets)) > 1
    assert all(len(set(subset)) == 3 and set(subset) <= set(NAMES) for subset in subsets)
    assert len(ImageDataset(archive, max_size=3, mirror=True)) == 6
    assert len(ImageDataset(archive, max_size=100)) == 6
    assert "0 images" in one_line_error(archive, max_size=0)


def test_subset_keeps_the_width_of_labels(tmp_path):
    labels = [[name, i] for i, name in enumerate(NAMES)]
    path = write_zip(tmp_path / "a.zip", PICTURES, {"labels": labels})
    assert all(ImageDataset(path, use_labels=True, max_size=1, seed=seed).label_dim == 6 for seed in range(3))


def test_content_hash_tells_names_pixels_and_labels(tmp_path):
    def hash_of(files, labels=None, **options):
        metadata = {"labels": labels and [[name, labels[i]] for i, name in enumerate(files)]}
        return ImageDataset(write_zip(tmp_path / "a.zip", files, metadata), **options).content_hash()

    base = hash_of(PICTURES)
    assert base == hash_of(PICTURES)
    assert base == hash_of(PICTURES, mirror=True)
    assert base == hash_of(PICTURES, labels=range(6))  # not in use
    others = [
        hash_of({**PICTURES, NAMES[0]: picture(99)}),
        hash_of({name.replace("img", "pic"): image for name, image in PICTURES.items()}),
        hash_of(PICTURES, labels=range(6), use_labels=True),
        hash_of(PICTURES, labels=[0] * 5 + [5], use_labels=True),
        hash_of(PICTURES, max_size=3),
    ]
    assert len({base, *others}) == 6


@pytest.mark.parametrize("cache", [False, True])
def test_pickled_copies_read_the_same(archive, cache):
    dataset = ImageDataset(archive, cache=cache)
    before = [image for image, _ in items(dataset)]
    copy = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal([image for image, _ in items(copy)], before)


def test_changing_an_item_leaves_the_cache_alone(archive):
    dataset = ImageDataset(archive, cache=True)
    expected = dataset[0][0].copy()
    dataset[0][0][:] = 0
    np.testing.assert_array_equal(dataset[0][0], expected)


def test_missing_path(tmp_path):
    assert str(tmp_path / "nothing.zip") in one_line_error(tmp_path / "nothing.zip")


@pytest.mark.parametrize("write", [write_zip, write_folder])
def test_empty(tmp_path, write):
    path = write(tmp_path / "a.zip", {"readme.txt": b"no images", ".hidden.png": b""})
    assert "no image files" in one_line_error(path)


@pytest.mark.parametrize("name, complaint", [("a.zip", "zip archive"), ("a.tar", "dataset_tool.py")])
def test_not_a_zip(tmp_path, name, complaint):
    path = tmp_path / name
    path.write_bytes(b"something else")
    assert complaint in one_line_error(path)


def test_lmdb_is_sent_to_the_tool(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"")
    assert "dataset_tool.py" in one_line_error(tmp_path)


@pytest.mark.parametrize(
    "odd, complaint",
    [
        (picture(size=(8, 4)), "8x4"),
        (picture(size=16), "16x16 RGB"),
        (picture(mode="L"), "8x8 grey"),
        (picture(mode="RGBA"), "transparency"),
        (picture(mode="LA"), "transparency"),
        (encoded(picture(mode="CMYK"), "tiff"), "CMYK"),
        (Image.fromarray(np.zeros((8, 8), np.uint16)), "16 bits"),
        (encoded(picture())[:60], "damaged"),
        (b"", "damaged"),
    ],
    ids=["oblong", "large", "grey", "rgba", "grey-alpha", "cmyk", "16-bit", "cut-short", "no-bytes"],
)
def test_an_odd_image_is_named(tmp_path, odd, complaint):
    path = write_zip(tmp_path / "a.zip", {**PICTURES, NAMES[3]: odd})
    message = one_line_error(path)
    assert complaint in message
    assert NAMES[3] in message


@pytest.mark.parametrize("size, complaint", [((8, 4), "8x4"), (12, "12x12"), (2, "2x2")])
def test_unusable_sizes(tmp_path, size, complaint):
    message = one_line_error(write_zip(tmp_path / "a.zip", {name: picture(size=size) for name in NAMES}))
    assert complaint in message
    assert NAMES[0] in message


def test_late_images_are_checked_when_read(archive, monkeypatch, tmp_path):
    monkeypatch.setattr("training.data.dataset._CHECKED_HEADERS", 2)
    dataset = ImageDataset(write_zip(tmp_path / "a.zip", {**PICTURES, NAMES[3]: picture(size=16)}))
    assert dataset[2][0].shape == (3, 8, 8)
    with pytest.raises(UserError, match=NAMES[3]):
        dataset[3]


def test_garbled_bytes_within_a_zip(tmp_path):
    path = write_zip(tmp_path / "a.zip", PICTURES)
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo(NAMES[2]).header_offset
    data = bytearray(path.read_bytes())
    data[offset + 150] ^= 0xFF
    path.write_bytes(data)
    message = one_line_error(path)
    assert NAMES[2] in message
    assert "damaged" in message


def test_wrong_resolution(archive):
    message = one_line_error(archive, resolution=32)
    assert "8x8" in message
    assert "32" in message
    assert ImageDataset(archive, resolution=8).resolution == 8


def test_dataset_json_is_no_image(archive):
    with zipfile.ZipFile(archive) as opened:
        assert json.loads(opened.read("dataset.json")) == {"labels": None}
    assert ImageDataset(archive).image_names == NAMES
