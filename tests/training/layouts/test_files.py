"""Layouts as JSON: exact, and refused with one clear line when they cannot be used."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnlib.errors import UserError
from tests.training.small import make_layout
from training.layouts.files import layout_from_json, layout_to_json, load_layout, save_layout
from training.layouts.layout import Layout

inside = st.floats(-1, 1, width=32)
positive = st.floats(0.015625, 8, width=32)


def level(centers: list, spreads: list) -> dict:
    return {"centers": centers, "spreads": spreads}


def document(*levels: dict, **changes) -> dict:
    """A layout file of one picture."""
    return {"format": "steergan-layout", "version": 1, "layouts": [{"levels": list(levels)}], **changes}


GOOD = level([[0.1, 0.2]], [0.5])


def same(a: Layout, b: Layout) -> bool:
    return all(map(torch.equal, a.centers + a.spreads, b.centers + b.spreads))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(inside, inside, positive), min_size=1, max_size=4))
def test_every_number_survives_a_round_trip(rows):
    values = torch.tensor(rows)
    layout = Layout((values[None, :, :2],), (values[None, :, 2],))
    text = json.dumps(layout_to_json(layout))
    assert same(layout_from_json(json.loads(text)), layout)


def test_file_round_trip(tmp_path: Path):
    layout = make_layout(3)
    save_layout(tmp_path / "scene.json", layout)
    assert same(load_layout(tmp_path / "scene.json"), layout)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.json"]


def test_file_is_readable_for_people(tmp_path: Path):
    save_layout(tmp_path / "scene.json", Layout((torch.tensor([[[0.5, -0.25]]]),), (torch.tensor([[0.75]]),)))
    found = json.loads((tmp_path / "scene.json").read_text())
    assert found == document(level([[0.5, -0.25]], [0.75]))


def test_scenes_of_objects_with_strengths(tmp_path: Path):
    layout = make_layout(2, (3,)).with_strength(0, 1, 0.0)
    save_layout(tmp_path / "scene.json", layout)
    found = load_layout(tmp_path / "scene.json")
    assert same(found, layout)
    assert found.counts == (3,)
    assert torch.equal(found.strengths[0], layout.strengths[0])
    written = json.loads((tmp_path / "scene.json").read_text())
    assert written["layouts"][0]["levels"][0]["strengths"] == [1, 0, 1]


def test_strengths_may_be_left_out_where_they_are_1():
    levels = [level([[0, 0]], [1]), {**level([[0, 0], [0, 0]], [1, 1]), "strengths": [0.5, 0]}]
    found = layout_from_json(document(*levels))
    assert [strengths.tolist() for strengths in found.strengths] == [[[1]], [[0.5, 0]]]
    assert layout_from_json(document(GOOD)).strengths is None


@pytest.mark.parametrize(
    "content, message",
    [
        (document({**GOOD, "strengths": [1, 1]}), "malformed layout .*as many strengths as centres"),
        (document({**GOOD, "strengths": [2]}), r"layout 0: strength 0:0 is 2; it must be in \[0, 1\]"),
        (document(GOOD, layouts=[{"levels": [GOOD], "noise": {"kind": "x", "seed": 1, "share": 1}}]), "kind of noise"),
        (document(GOOD, layouts=[{"levels": [GOOD], "noise": {"kind": "impulse"}}]), "malformed layout .*seed"),
        ([1], r'not a layout file \(no "format": "steergan-layout"\)'),
        ({"layouts": []}, r'not a layout file \(no "format": "steergan-layout"\)'),
        (document(GOOD, format="another"), "not a layout file"),
        ({"format": "steergan-layout"}, "malformed layout.*layouts"),
        (document(GOOD, layouts=None), "malformed layout"),
        (document(GOOD, layouts=[[1]]), "malformed layout"),
        (document({"centers": [[0, 0]]}), "malformed layout.*spreads"),
        (document(level([], [])), "level 0 needs a list of .x, y. centres and as many spreads"),
        (document(GOOD, level([[0, 0, 0]], [1])), "level 1 needs a list of .x, y. centres and as many spreads"),
        (document(GOOD, level([[0, 0]], [1, 1])), "level 1 needs a list of .x, y. centres and as many spreads"),
        (document(level([["a", 0]], [1])), "malformed layout"),
        (document(level([[0, 0], [0]], [1, 1])), "malformed layout"),
        (document(level([[1.5, 0]], [1])), r"layout 0: centre 0:0 at \(1\.5, 0\) is outside \[-1, 1\]"),
        (document(GOOD, level([[0, -4]], [1])), r"layout 0: centre 1:0 at \(0, -4\) is outside \[-3, 3\]"),
        (document(level([[0, 0]], [0])), "layout 0: spread 0:0 is 0; it must be positive"),
        (document(GOOD, layouts=[{"levels": [GOOD]}, {"levels": [GOOD, GOOD]}]), "malformed layout"),
        (document(GOOD, layouts=[]), "layout"),
        (document(), "layout"),
    ],
)
def test_unusable_documents_are_refused_in_one_line(content, message, tmp_path: Path):
    path = tmp_path / "scene.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as caught:
        load_layout(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text, message", [("{", "scene.json:1: not valid JSON"), ("\x80", "not a JSON text file")])
def test_files_that_are_no_json_are_refused(text, message, tmp_path: Path):
    path = tmp_path / "scene.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=message):
        load_layout(path)


def test_missing_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot read .*nowhere\.json: No such file"):
        load_layout(tmp_path / "nowhere.json")
