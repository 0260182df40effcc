import io
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from dataset_tool import main
from tests.training.data_samples import encoded, picture, write_folder, write_zip
from tests.training.tool import contents, convert, images, refused, run
from training.data.dataset import ImageDataset


@pytest.fixture
def photos(tmp_path):
    return write_folder(tmp_path / "photos", {f"{name}.png": picture(i, 16) for i, name in enumerate("abc")})


# -- destinations --


@pytest.mark.parametrize("dest", ["out.zip", "out", "new/deeper/out.zip", "new/deeper/out"])
def test_names_pixels_and_metadata(photos, tmp_path, dest):
    output = convert(photos, tmp_path / dest)
    assert "3 images, 16x16, RGB, no labels, 0 damaged" in output
    files, metadata = contents(tmp_path / dest)
    assert sorted(files) == [f"00000/img{i:08d}.png" for i in range(3)]
    assert metadata == {"labels": None}
    for i in range(3):
        pixels = np.asarray(Image.open(io.BytesIO(files[f"00000/img{i:08d}.png"])))
        np.testing.assert_array_equal(pixels, np.asarray(picture(i, 16)))
    assert len(ImageDataset(tmp_path / dest)) == 3


def test_folders_hold_a_thousand(tmp_path):
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        data = encoded(picture(size=4))
        for i in range(1001):
            archive.writestr(f"{i:04d}.png", data)
    convert(tmp_path / "many.zip", tmp_path / "out.zip")
    assert list(contents(tmp_path / "out.zip")[0])[-1] == "00001/img00001000.png"


def test_same_images_same_archive(photos, tmp_path):
    for name in ("a.zip", "b.zip"):
        convert(photos, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_png_files_are_not_compressed(tmp_path):
    write_folder(tmp_path / "black", {"a.png": Image.new("RGB", (64, 64))})
    convert(tmp_path / "black", tmp_path / "out.zip")
    [data] = contents(tmp_path / "out.zip")[0].values()
    assert len(data) > 64 * 64 * 3


def test_a_converted_set_converts_to_itself(photos, tmp_path):
    convert(photos, tmp_path / "a.zip")
    convert(tmp_path / "a.zip", tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_the_source_is_never_overwritten(photos, tmp_path):
    convert(photos, tmp_path / "a.zip")
    before = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "link.zip").symlink_to(tmp_path / "a.zip")
    for source, dest in (("a.zip", "a.zip"), ("link.zip", "a.zip"), ("a.zip", "link.zip")):
        words = f"--source={tmp_path / source}", f"--dest={tmp_path / dest}", "--width=8"
        assert "is what --source names, and would be overwritten" in refused(*words)
    whole = f"--dest={tmp_path / 'a.zip'}"
    for option in ("cutouts", "backgrounds"):
        words = ["compose", f"--cutouts={photos}", f"--{option}={tmp_path / 'a.zip'}", whole]
        assert f"is what --{option} names" in refused(*words)
    assert (tmp_path / "a.zip").read_bytes() == before


def test_paths_from_the_home_directory(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    convert("~/photos", "~/out.zip")
    run("toy", "--dest=~/toy.zip", "--images=1", "--resolution=16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.zip", "photos", "toy.zip"]


def test_existing_destinations(photos, tmp_path):
    write_folder(tmp_path / "full", {"note.txt": b"mine"})
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "folder.zip").mkdir()
    assert "already holds files" in refused(f"--source={photos}", f"--dest={tmp_path / 'full'}")
    assert "is a file" in refused(f"--source={photos}", f"--dest={tmp_path / 'file'}")
    assert "is a folder" in refused(f"--source={photos}", f"--dest={tmp_path / 'folder.zip'}")
    assert "only .zip" in refused(f"--source={photos}", f"--dest={tmp_path / 'out.tar.gz'}")
    assert "cannot write" in refused(f"--source={photos}", f"--dest={tmp_path / 'file' / 'out.zip'}")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["note.txt"]
    convert(photos, tmp_path / "empty")
    assert len(contents(tmp_path / "empty")[0]) == 3


@pytest.mark.parametrize("dest", ["out.zip", "out", "new/out.zip", "new/out"])
@pytest.mark.parametrize("failure", ["size", "strict", "interrupt"])
def test_failures_leave_nothing(photos, tmp_path, dest, failure, monkeypatch):
    options = []
    if failure == "size":
        write_folder(photos, {"z.png": picture(size=8)})
    elif failure == "strict":
        write_folder(photos, {"z.png": encoded(picture(size=16))[:200]})
        options = ["--strict"]
    else:
        monkeypatch.setattr("training.data.writer.DatasetWriter.finish", _interrupt)
    before = sorted(tmp_path.rglob("*"))
    result = CliRunner().invoke(main, [f"--source={photos}", f"--dest={tmp_path / dest}", *options])
    assert result.exit_code != 0
    assert sorted(tmp_path.rglob("*")) == before


def _interrupt(writer):
    raise KeyboardInterrupt


def test_a_failure_leaves_the_old_archive(photos, tmp_path):
    convert(photos, tmp_path / "out.zip")
    before = (tmp_path / "out.zip").read_bytes()
    write_folder(photos, {"z.png": picture(size=8)})
    refused(f"--source={photos}", f"--dest={tmp_path / 'out.zip'}")
    assert (tmp_path / "out.zip").read_bytes() == before


# -- labels --


@pytest.mark.parametrize("write", [write_folder, write_zip])
def test_labels_from_dataset_json(tmp_path, write):
    files = {"b.png": picture(0), "a.png": picture(1)}
    source = write(tmp_path / "a.zip", files, {"labels": [["b.png", 4], ["a.png", 2]], "classes": list("vwxyz")})
    assert "2 classes" in convert(source, tmp_path / "out.zip")
    labels = [["00000/img00000000.png", 2], ["00000/img00000001.png", 4]]
    assert contents(tmp_path / "out.zip")[1] == {"labels": labels, "classes": list("vwxyz")}


def test_vector_labels(tmp_path):
    source = write_zip(tmp_path / "a.zip", {"a.png": picture()}, {"labels": [["a.png", [0.5, 2]]]})
    assert "labels of 2 numbers" in convert(source, tmp_path / "out.zip")
    assert contents(tmp_path / "out.zip")[1] == {"labels": [["00000/img00000000.png", [0.5, 2]]]}


@pytest.mark.parametrize("write", [write_folder, write_zip])
def test_labels_from_sub_folders(tmp_path, write):
    files = {f"{name}.png": picture() for name in ("dog/x", "cat/y", "cat/z/deep")}
    convert(write(tmp_path / "a.zip", files), tmp_path / "out.zip")
    metadata = contents(tmp_path / "out.zip")[1]
    assert metadata["classes"] == ["cat", "dog"]
    assert [label for _, label in metadata["labels"]] == [0, 0, 1]
    assert ImageDataset(tmp_path / "out.zip", use_labels=True).label_dim == 2


def test_a_missing_label_is_refused(tmp_path):
    source = write_zip(tmp_path / "a.zip", {"a.png": picture(), "b.png": picture()}, {"labels": [["a.png", 0]]})
    assert "b.png" in refused(f"--source={source}", f"--dest={tmp_path / 'out.zip'}")


def test_labels_stay_with_their_images_when_one_is_damaged(tmp_path):
    files = {"ant/1.png": encoded(picture())[:70], "bee/2.png": encoded(picture(2)), "cat/3.png": encoded(picture(3))}
    output = convert(write_folder(tmp_path / "a", files), tmp_path / "out.zip")
    assert "1 damaged skipped" in output
    assert [label for _, label in contents(tmp_path / "out.zip")[1]["labels"]] == [1, 2]
    np.testing.assert_array_equal(images(tmp_path / "out.zip")[0], np.asarray(picture(2)))


# -- damage --


def test_damaged_images_are_named_counted_and_skipped(photos, tmp_path):
    write_folder(photos, {"b2.png": b"nonsense", "b3.png": encoded(picture(size=16))[:300]})
    output = convert(photos, tmp_path / "out.zip")
    assert "b2.png" in output
    assert "b3.png" in output
    assert "3 images, 16x16, RGB, no labels, 2 damaged skipped" in output.splitlines()[-1]
    assert len(images(tmp_path / "out.zip")) == 3


@pytest.mark.parametrize("data", [b"nonsense", encoded(picture(size=16))[:300]])
def test_strict_refuses_them(photos, tmp_path, data):
    write_folder(photos, {"b2.png": data})
    assert "b2.png is damaged" in refused(f"--source={photos}", f"--dest={tmp_path / 'out.zip'}", "--strict")


def test_nothing_readable(tmp_path):
    source = write_folder(tmp_path / "a", {"a.png": b"nonsense"})
    said = refused(f"--source={source}", f"--dest={tmp_path / 'out.zip'}")
    assert "nothing of the source can be read, 1 image; the first: " in said


# -- sub-commands --


@pytest.mark.parametrize("kind", ["critters", "rooms", "playrooms"])
@pytest.mark.parametrize("dest", ["toy.zip", "toy"])
def test_toy(tmp_path, kind, dest):
    output = run("toy", "--dest", tmp_path / dest, "--kind", kind, "--images=7", "--resolution=16", "--seed=3")
    assert "7 images, 16x16" in output
    dataset = ImageDataset(tmp_path / dest, resolution=16)
    assert len(dataset) == len(dataset.scenes) == 7
    assert all(dataset.scene(i)["objects"] for i in range(7))


def test_toy_pictures_depend_on_seed_and_number_only(tmp_path):
    calls = {"a": ["--images=3"], "b": ["--images=5"], "c": ["--images=3", "--seed=1"], "d": ["--images=3"]}
    for name, options in calls.items():
        run("toy", "--dest", tmp_path / name, "--resolution=16", *options)
    few, more, other, again = (images(tmp_path / name) for name in "abcd")
    assert sorted(x.tobytes() for x in few) == sorted(x.tobytes() for x in again)
    assert {x.tobytes() for x in few} < {x.tobytes() for x in more}
    assert not {x.tobytes() for x in few} & {x.tobytes() for x in other}


@pytest.mark.parametrize("kind", ["critters", "balls", "faces"])
def test_toys_on_one_color(tmp_path, kind):
    """The same things at the same places, and the same color in all corners."""
    for name, options in (("plain", ["--plain"]), ("gradient", [])):
        run("toy", "--dest", tmp_path / name, "--kind", kind, "--images=8", "--resolution=32", *options)
    plain, gradient = (ImageDataset(tmp_path / name, resolution=32) for name in ("plain", "gradient"))
    assert plain.scenes == gradient.scenes
    for number, pixels in enumerate(images(tmp_path / "plain")):
        corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert (corners == corners[0]).all(), number
    assert not all((pixels[0, 0] == pixels[-1, 0]).all() for pixels in images(tmp_path / "gradient"))


@pytest.mark.parametrize("kind", ["rooms", "playrooms"])
def test_rooms_with_a_given_number_of_objects(tmp_path, kind):
    run("toy", "--dest", tmp_path / "toy", "--kind", kind, "--objects=3", "--images=8", "--resolution=64")
    dataset = ImageDataset(tmp_path / "toy", resolution=64)
    assert [len(dataset.scene(i)["objects"]) for i in range(8)] == [3] * 8


def test_what_compose_passes_over_is_one_line(tmp_path):
    cutout = Image.new("RGBA", (60, 40))
    cutout.paste((250, 120, 0, 255), (10, 10, 50, 30))
    photos = {f"photo{i}.png": picture() for i in range(30)}
    stamps = write_folder(tmp_path / "stamps", {"fox.png": cutout, **photos})
    output = run("compose", "--cutouts", stamps, "--images=1", "--resolution=16", "--dest", tmp_path / "out.zip")
    first, last = output.splitlines()
    assert first.startswith(f"{stamps}: 1 picture used, 30 skipped (photo0.png: opaque all over")
    assert first.endswith(" and 27 more)")
    assert last == f"{tmp_path / 'out.zip'}: 1 image, 16x16, RGB, no labels, ground truth in dataset.json"


def test_of_many_damaged_images_the_first_are_named(photos, tmp_path):
    write_folder(photos, {f"z{i:02d}.png": encoded(picture(size=16))[:200] for i in range(30)})
    output = convert(photos, tmp_path / "out.zip")
    assert len([line for line in output.splitlines() if line.startswith("skipped, damaged: ")]) == 20
    assert output.count("more are skipped; their names are left out here") == 1
    assert output.splitlines()[-1].endswith("3 images, 16x16, RGB, no labels, 30 damaged skipped")


def test_compose(tmp_path):
    cutout = Image.new("RGBA", (60, 40))
    cutout.paste((250, 120, 0, 255), (10, 10, 50, 30))
    stamps = write_folder(tmp_path / "stamps", {"fox.png": cutout, "cartoon/fox.png": cutout, "photo.png": picture()})
    command = "compose", "--cutouts", stamps, "--images=6", "--resolution=16"
    output = run(*command, "--dest", tmp_path / "out.zip")
    assert "photo.png: opaque all over" in output
    assert "1 picture used, 1 skipped (photo.png: opaque all over" in output
    dataset = ImageDataset(tmp_path / "out.zip", resolution=16)
    assert len(dataset.scenes) == 6
    assert dataset.scene(0)["objects"][0]["kind"] == "fox"
    assert contents(tmp_path / "out.zip")[1]["sources"] == ["fox.png"]
    run(*command, "--dest", tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "out.zip").read_bytes()


@pytest.mark.parametrize(
    "arguments",
    [
        ["toy", "--dest=OUT", "--resolution=33"],
        ["toy", "--dest=OUT", "--kind=critters", "--objects=2"],
        ["toy", "--dest=OUT", "--kind=rooms", "--plain"],
        ["compose", "--cutouts=OUT", "--dest=OUT"],
        ["compose", "--cutouts=OUT", "--dest=OUT", "--min-size=0.7"],
        ["compose", "--cutouts=OUT", "--dest=OUT", "--resolution=0"],
        ["compose", "--cutouts=OUT", "--dest=OUT", "--min-coverage=nan"],
        ["compose", "--cutouts=OUT", "--dest=OUT", "--subject-contrast=nan"],
        ["toy", "--dest=OUT", "--resolution=1099511627776"],
        ["toy", "--dest=OUT", "--images=1000000000"],
    ],
)
def test_sub_commands_refuse_in_one_line(tmp_path, arguments):
    refused(*[argument.replace("OUT", str(tmp_path / "out.zip")) for argument in arguments])
    assert not list(tmp_path.iterdir())
