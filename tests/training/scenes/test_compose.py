import numpy as np
import pytest
from PIL import Image, ImageDraw

from dnnlib.errors import UserError
from tests.training.scenes.test_procedural import center_of, found_object
from training.scenes.colors import distance
from training.scenes.compose import Placement, Selection, compose, load_cutouts, load_photos

COLORS = {"fox": (200, 90, 30), "owl": (90, 90, 90), "cow": (250, 250, 250)}


def write_cutout(path, color, size=(120, 90), drawn_box=(20, 10, 100, 70)):
    """An ellipse on transparency."""
    image = Image.new("RGBA", size)
    ImageDraw.Draw(image).ellipse(drawn_box, fill=(*color, 255))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def stamps(tmp_path):
    for name, color in COLORS.items():
        write_cutout(tmp_path / "stamps" / "wild" / f"{name}.png", color)
    return tmp_path / "stamps"


def objects(folder, placement, **selection):
    return list(load_cutouts(folder, Selection(**selection), placement)[0].values())


@pytest.mark.parametrize("resolution", [32, 64])
def test_the_row_median_rule_finds_the_center(stamps, resolution):
    placement = Placement(resolution, max_size=0.44)  # the median of a row is the background's well below one half
    cutouts = objects(stamps, placement)
    for seed in range(60):
        pixels, scene = compose(np.random.default_rng(seed), cutouts, placement)
        [thing] = scene["objects"]
        assert thing["kind"] in COLORS
        np.testing.assert_allclose(center_of(found_object(pixels)), thing["center"], atol=0.1)


def test_box_size_and_place(stamps):
    placement = Placement(64)
    cutouts = objects(stamps, placement)
    scenes = [compose(np.random.default_rng(seed), cutouts, placement)[1] for seed in range(200)]
    boxes = np.array([scene["objects"][0]["box"] for scene in scenes])
    edges = (boxes * 63 + 64) / 128  # 0 to 1 over the picture
    assert edges.min() >= -1e-3
    assert edges.max() <= 1.001
    sides = (edges[:, 2:] - edges[:, :2]).max(axis=1)
    assert 0.399 < sides.min() < 0.42
    assert 0.58 < sides.max() < 0.601
    middles = (edges[:, 2:] + edges[:, :2]) / 2
    assert 0.249 < middles.min() < 0.28
    assert 0.72 < middles.max() < 0.751


def test_lopsided_objects_have_their_weight_as_center_and_are_mirrored(tmp_path):
    image = Image.new("RGBA", (100, 100))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 45, 99, 55), fill=(200, 30, 30, 255))
    pen.rectangle((0, 0, 30, 99), fill=(200, 30, 30, 255))
    (tmp_path / "s").mkdir()
    image.save(tmp_path / "s" / "pan.png")
    placement = Placement(64, max_size=0.48)
    cutouts = objects(tmp_path / "s", placement)
    leanings = set()
    for seed in range(20):
        pixels, scene = compose(np.random.default_rng(seed), cutouts, placement)
        [thing] = scene["objects"]
        np.testing.assert_allclose(center_of(found_object(pixels)), thing["center"], atol=0.05)
        leanings.add(thing["center"][0] > (thing["box"][0] + thing["box"][2]) / 2)
    assert leanings == {True, False}


def test_same_seed_same_picture(stamps):
    placement = Placement(32)
    cutouts = objects(stamps, placement)
    first, again = (compose(np.random.default_rng(3), cutouts, placement) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]


def test_colors_do_not_bleed_from_transparent_pixels(tmp_path):
    image = Image.new("RGBA", (80, 80), (0, 255, 0, 0))  # invisible green
    ImageDraw.Draw(image).ellipse((10, 10, 70, 70), fill=(200, 0, 200, 255))
    image.save(tmp_path / "ball.png")
    placement = Placement(32)
    [cutout] = objects(tmp_path, placement)
    np.testing.assert_allclose(cutout.color, (200, 0, 200), atol=2)
    layer = cutout.drawn(16 / cutout.size.max(), np.array([8.3, 8.6]), 32, mirror=False)
    assert layer[..., 1].max() <= 1


def test_drawing_at_fractions_of_a_pixel(stamps):
    placement = Placement(32)
    cutout = objects(stamps, placement)[0]
    scale = 16 / cutout.size.max()
    centers = [center_of(cutout.drawn(scale, np.array([4 + shift, 6]), 32, False)[..., 3]) for shift in (0, 0.25, 0.5)]
    np.testing.assert_allclose(np.diff([x for x, _ in centers]), 0.25 * 2 / 31, atol=2e-3)


def test_unsuitable_pictures_are_counted(stamps):
    Image.new("RGB", (50, 50)).save(stamps / "photo.png")
    Image.new("RGBA", (50, 50)).save(stamps / "nothing.png")
    (stamps / "broken.png").write_bytes(b"\x89PNG what")
    write_cutout(stamps / "line.png", (0, 0, 0), drawn_box=(10, 10, 12, 12))
    image = Image.new("RGBA", (80, 80))
    ImageDraw.Draw(image).line((0, 0, 79, 79), fill=(9, 9, 9, 255), width=3)
    image.save(stamps / "thin.png")
    used, skipped = load_cutouts(stamps, Selection(min_coverage=0.25), Placement(32))
    assert sorted(used) == ["line.png", "wild/cow.png", "wild/fox.png", "wild/owl.png"]
    reasons = dict(skipped)
    assert "opaque" in reasons["photo.png"]
    assert "transparent" in reasons["nothing.png"]
    assert "damaged" in reasons["broken.png"]
    assert "bounding box" in reasons["thin.png"]


def test_include_and_exclude(stamps):
    write_cutout(stamps / "cartoon" / "fox.png", (1, 2, 3))
    names = {
        (): 4,
        (("include", ("wild",)),): 3,
        (("exclude", ("cartoon", "cow")),): 2,
        (("include", ("fox",)), ("exclude", ("cartoon",))): 1,
    }
    for options, count in names.items():
        assert len(objects(stamps, Placement(32), **dict(options))) == count


@pytest.mark.parametrize("sizes", [(0, 0.5), (0.6, 0.4), (0.5, 1.2)])
def test_bad_sizes(sizes):
    with pytest.raises(UserError, match="fractions"):
        Placement(32, *sizes)


def test_objects_as_large_as_the_picture(stamps):
    placement = Placement(32, 1, 1)
    cutouts = objects(stamps, placement)
    for seed in range(20):
        _, scene = compose(np.random.default_rng(seed), cutouts, placement)
        assert abs(scene["objects"][0]["center"][0]) < 0.05


def test_no_cutouts_at_all(tmp_path):
    with pytest.raises(UserError, match="no usable cut-out"):
        load_cutouts(tmp_path, Selection(), Placement(32))
    with pytest.raises(UserError, match="not a folder"):
        load_cutouts(tmp_path / "missing", Selection(), Placement(32))
    with pytest.raises(UserError, match="no readable photograph"):
        load_photos(tmp_path, 32)


def test_words_that_no_name_contains_are_told_apart_from_no_cutouts(stamps):
    with pytest.raises(UserError, match=rf"leave none of {len(COLORS)} pictures; .* such as wild/\w+\.png$"):
        load_cutouts(stamps, Selection(include=("/absent.",)), Placement(32))


def test_photographs_as_backgrounds(stamps, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (900, 600), (0, 200, 0)).save(tmp_path / "photos" / "meadow.jpg")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"\xff\xd8 what")
    photos, skipped = load_photos(tmp_path / "photos", 32)
    assert [name for name, _ in skipped] == ["broken.jpg"]
    assert min(photos["meadow.jpg"].size) < 600
    placement = Placement(32)
    pixels, _ = compose(np.random.default_rng(0), objects(stamps, placement), placement, list(photos.values()))
    assert distance(pixels[[0, 0, -1, -1], [0, -1, 0, -1]], np.array([0, 200, 0])).max() < 0.1
