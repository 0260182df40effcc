"""What is true of toy scenes, as numbers, and the small network that learns to see it."""

from functools import cache

import numpy as np
import pytest
import torch

from dnnlib.errors import UserError
from editing.latent.conditions import Joined, make_condition
from editing.latent.conditions import scenes as module
from editing.latent.conditions.scenes import Recipe, Regressor, SceneCondition, at_its_size, scene_condition, train
from editing.latent.conditions.truth import attributes, draw_scenes, key_points, truths

SHORT = Recipe(scenes=300, held_out=60, epochs=20, seen=0.0)


def picture(color: tuple[int, int, int], ground: tuple[int, int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    """[32, 32, 3] with a rectangle from (x0, y0) to (x1, y1), exclusive."""
    pixels = np.full([32, 32, 3], ground, np.uint8)
    x0, y0, x1, y1 = box
    pixels[y0:y1, x0:x1] = color
    return pixels


def test_attributes_are_those_of_the_largest_object_and_of_the_background():
    pixels = picture((255, 0, 51), (0, 255, 102), (8, 8, 24, 16))
    scene = {"objects": [
        {"center": [0.9, 0.9], "box": [0.8, 0.8, 1.0, 1.0]},
        {"center": [0.0, -0.25], "box": [-0.5, -0.5, 0.5, 0.0]},
    ]}  # fmt: skip
    found = attributes(pixels, scene)
    expected = {"count": 2, "x": 0.0, "y": -0.25, "size": 0.5**0.5, "aspect": 2.0, "red": 1.0, "green": -1.0,
                "blue": -0.6, "background_red": -1.0, "background_green": 1.0, "background_blue": -0.2}  # fmt: skip
    assert found == pytest.approx(expected)


def test_key_points_have_names():
    parts = {"eye": [[-0.1, 0.2], [0.1, 0.2]], "mouth": [[0.0, 0.5]]}
    one = key_points({"objects": [{"parts": parts}]})
    assert one == {"eye0_x": -0.1, "eye0_y": 0.2, "eye1_x": 0.1, "eye1_y": 0.2, "mouth0_x": 0.0, "mouth0_y": 0.5}
    assert "object1_mouth0_x" in key_points({"objects": [{"parts": parts}, {"parts": parts}]})


@pytest.mark.parametrize("what, kind, there, not_there", [
    ("scene", "faces", {"x", "y", "size", "red", "background_blue"}, {"count"}),  # one face in every picture
    ("scene", "rooms", {"count", "x", "background_red"}, set()),
    ("points", "faces", {"eye0_x", "eye1_y", "mouth0_x"}, {"x"}),
    ("points", "critters", {"tail0_x", "leg3_y"}, set()),
])  # fmt: skip
def test_scenes_have_what_differs_between_them(what: str, kind: str, there: set, not_there: set):
    names, values = truths(what, draw_scenes(kind, 12, 32, 0))
    assert there <= set(names)
    assert not not_there & set(names)
    assert values.shape == (12, len(names))
    assert np.isfinite(values).all()
    assert (np.abs(values[:, [i for i, name in enumerate(names) if "red" in name or name == "x"]]) <= 1).all()


def test_scenes_without_parts_have_no_key_points():
    with pytest.raises(UserError, match="no named parts in common"):
        truths("points", draw_scenes("rooms", 6, 32, 0))


@cache
def trained_shortly() -> SceneCondition:
    return train("scene", "faces", SHORT)


@pytest.mark.slow
def test_the_network_learns_to_see_them():
    found = trained_shortly()
    seen = dict(zip(found.names, found.r2, strict=True))
    assert min(seen["background_red"], seen["x"]) > 0.4  # after seconds; 0.9 and more with the usual recipe
    pixels, _ = draw_scenes("faces", 1, 32, 77)[0]
    images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    assert list(found(images).shape) == [1, len(found.names)]
    again = train("scene", "faces", SHORT)
    assert again.names == found.names
    torch.testing.assert_close(again(images), found(images), rtol=1e-3, atol=1e-4)


def test_what_it_cannot_see_is_left_out():
    every, some = trained_shortly(), train("scene", "faces", Recipe(300, 60, 20, seen=0.4))
    kept = [index for index, r2 in enumerate(every.r2) if r2 >= 0.4]
    assert some.names == tuple(every.names[index] for index in kept)
    assert 0 < len(kept) < len(every.names)
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(some(images), every(images)[:, kept])
    with pytest.raises(UserError, match="no attribute of these scenes can be seen"):
        train("scene", "faces", Recipe(60, 20, 2, seen=2.0))


@pytest.mark.parametrize("side", [16, 32, 64])
def test_places_are_told_for_pictures_of_their_own_size(side: int):
    condition = SceneCondition(("eye_x", "y", "red"), Regressor(3).eval(), (1.0, 1.0, 1.0))
    condition.network.register_forward_hook(lambda module, given, found: torch.full_like(found, 0.5))
    pixel = (0.5 + 1) / 2 * 31 + 0.5  # of 32 that it looks at, from the picture's edge
    place = 2 * (pixel * side / 32 - 0.5) / (side - 1) - 1
    assert condition(torch.zeros(1, 3, side, side))[0].tolist() == pytest.approx([place, place, 0.5])


def tiny(*args) -> SceneCondition:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SceneCondition(("a", "b"), Regressor(2).eval().requires_grad_(False), (0.9, 0.8))


def test_it_is_trained_once_and_kept(cache, monkeypatch: pytest.MonkeyPatch):
    trained = []
    monkeypatch.setattr(module, "train", lambda *args: trained.append(args) or tiny())
    images = torch.rand(2, 3, 32, 32)
    first, again = (scene_condition("scene", "faces") for _ in range(2))
    assert len(trained) == 1
    assert (again.names, again.r2) == (("a", "b"), (0.9, 0.8))
    assert torch.equal(first(images), again(images))
    (path,) = (cache / "conditions").iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    torch.testing.assert_close(scene_condition("scene", "faces")(images), first(images))
    assert len(trained) == 2
    scene_condition("points", "faces")
    scene_condition("scene", "critters")
    assert [args[:2] for args in trained[2:]] == [("points", "faces"), ("scene", "critters")]


@pytest.mark.parametrize("shape", [[2, 1, 32, 32], [2, 3, 64, 64], [2, 3, 16, 16], [2, 3, 96, 96]])
def test_it_sees_pictures_of_any_size(shape: list[int]):
    images = torch.rand(shape)
    assert list(at_its_size(images).shape) == [2, 3, 32, 32]
    torch.testing.assert_close(at_its_size(images).mean((2, 3)), images.mean((2, 3)).expand(-1, 3), atol=0.05, rtol=0)


def test_gradients_flow_to_the_picture():
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    tiny()(images).sum().backward()
    assert images.grad.abs().sum() > 0


def test_conditions_can_be_joined(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "train", lambda what, kind, recipe: tiny())
    images = torch.rand(2, 3, 32, 32)
    one = make_condition(["scene:faces"], images[:1])
    assert one.names == ("a", "b")
    with pytest.raises(UserError, match="two conditions call a number 'a'"):
        make_condition(["scene:faces", "points:faces"], images[:1])
    other = SceneCondition(("c", "d"), one.network, one.r2)
    both = Joined([one, other])
    assert both.names == ("a", "b", "c", "d")
    torch.testing.assert_close(both(images), one(images).repeat(1, 2))


@pytest.mark.parametrize("text, words", [
    ("scene:face", "no such toy scenes; did you mean 'faces'"), ("points:", "no such toy scenes"),
    ("scene:../faces", "no such toy scenes"), ("", "neither scene:KIND"), ("faces", "neither scene:KIND"),
])  # fmt: skip
def test_words_that_name_none_are_refused(text: str, words: str):
    with pytest.raises(UserError, match=words):
        make_condition([text], torch.zeros(1, 3, 32, 32))
    with pytest.raises(UserError, match="which condition"):
        make_condition([], torch.zeros(1, 3, 32, 32))
