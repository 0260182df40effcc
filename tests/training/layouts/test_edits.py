"""Scenes in words: what is understood, what is refused, and where the centres end up."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dnnlib.errors import UserError
from tests.training.small import make_layout
from training.layouts.edits import (
    Center,
    check_moves,
    load_latents,
    moved,
    parse_centers,
    parse_grid,
    parse_moves,
    placed,
)


def test_centres_in_words():
    assert parse_centers(["0.3,-0.2"]) == [Center(0, 0, 0.3, -0.2)]
    assert parse_centers(["2:3:1,-1"]) == [Center(2, 3, 1.0, -1.0)]
    assert parse_centers(["2:3:0,0; 1:1:.5,.5;", " -0.1,0"]) == [
        Center(0, 0, -0.1, 0.0),  # level 0 first: the others follow it, and are then put where they were told to be
        Center(1, 1, 0.5, 0.5),
        Center(2, 3, 0.0, 0.0),
    ]
    assert parse_moves(["0:0:1.5,-2"]) == [Center(0, 0, 1.5, -2.0)]


@pytest.mark.parametrize("text", ["1:0.2,0.3", "a:0:0,0", "0:0:0:0,0", "-1:0:0,0"])
def test_words_of_another_form(text: str):
    with pytest.raises(UserError, match="is not of the form level:index:x,y or x,y"):
        parse_centers([text])


@pytest.mark.parametrize("text", ["0.3", "0:0:1,2,3", "left", "0:0:1,"])
def test_not_two_numbers(text: str):
    with pytest.raises(UserError, match=r"^--move '.*' must be 2 comma-separated numbers"):
        parse_moves([text])


@pytest.mark.parametrize("text", ["1.01,0", "0,-7", "1e308,0"])
def test_centres_outside_the_image(text: str):
    with pytest.raises(UserError, match=r"x and y must be in \[-1, 1\]"):
        parse_centers([text])


def test_grids_in_words():
    assert parse_grid("8x4") == (8, 4)
    for text in ("8", "0x4", "8x-1", "8X4", "axb"):
        with pytest.raises(UserError, match="must be columns x rows, such as 8x4"):
            parse_grid(text)


def test_placing_level_0_takes_the_others_along():
    layout = make_layout(3)
    there = placed(layout, parse_centers(["0.3,-0.2"]))
    assert (there.centers[0] == torch.tensor([0.3, -0.2])).all()
    for level in (1, 2):
        torch.testing.assert_close(there.centers[level] - there.centers[0], layout.centers[level] - layout.centers[0])
    assert there.spreads is layout.spreads


def test_placing_several():
    layout = make_layout(2)
    there = placed(layout, parse_centers(["1:1:0.5,0.5", "1,1"]))
    assert (there.centers[0] == 1).all()  # exactly: 1.0000001 would be refused as outside
    assert (there.centers[1][:, 1] == 0.5).all()
    expected = layout.centers[1][:, 0] + 1 - layout.centers[0][:, 0]
    torch.testing.assert_close(there.centers[1][:, 0], expected)


def test_placing_leaves_the_original_alone():
    layout, same = make_layout(2), make_layout(2)
    placed(layout, parse_centers(["0,0", "2:1:0,0"]))
    assert all(torch.equal(a, b) for a, b in zip(layout.centers, same.centers, strict=True))


@pytest.mark.parametrize("text", ["3:0:0,0", "0:1:0,0", "2:4:0,0"])
def test_no_such_centre(text: str):
    with pytest.raises(UserError, match="no centre"):
        placed(make_layout(), parse_centers([text]))
    with pytest.raises(UserError, match="no centre"):
        check_moves(make_layout(1), parse_moves([text]), ["seed0000"])


def test_moving_by_a_share_of_the_way():
    layout = placed(make_layout(1), parse_centers(["-0.4,0"])).repeat(3)
    path = moved(layout, parse_moves(["0.8,0.2", "2:1:0,0.1"]), torch.tensor([0.0, 0.5, 1.0])).centers
    torch.testing.assert_close(path[0][:, 0], torch.tensor([[-0.4, 0.0], [0.0, 0.1], [0.4, 0.2]]))
    both = torch.tensor([[0.0, 0.0], [0.4, 0.15], [0.8, 0.3]])
    torch.testing.assert_close(path[2][:, 1], layout.centers[2][:, 1] + both)


def test_moves_may_end_on_the_border_but_not_beyond():
    layout = placed(make_layout(2), parse_centers(["0.8,0"]))
    check_moves(layout, parse_moves(["0.2,-1"]), ["seed0003", "seed0004"])
    with pytest.raises(UserError, match=r"--move 0:0:0.3,0 takes seed0003 to \(1.1, 0\), outside \[-1, 1\]"):
        check_moves(layout, parse_moves(["0.3,0"]), ["seed0003", "seed0004"])
    with pytest.raises(UserError, match="must be finite numbers"):
        check_moves(layout, parse_moves(["nan,0"]), ["seed0003", "seed0004"])


@pytest.mark.parametrize("key, argument", [("w", "ws"), ("z", "z")])
def test_latents_from_a_file(tmp_path: Path, key: str, argument: str):
    values = np.arange(6, dtype=np.float64).reshape(2, 3)
    np.savez(tmp_path / "some.npz", **{key: values, "other": values})
    found = load_latents(tmp_path / "some.npz")
    assert list(found) == [argument]
    assert found[argument].dtype == torch.float32
    assert found[argument].tolist() == values.tolist()


def test_latents_that_cannot_be_read(tmp_path: Path):
    path = tmp_path / "some.npz"
    with pytest.raises(UserError, match="no such file"):
        load_latents(path)
    np.savez(path, q=np.zeros(3))
    with pytest.raises(UserError, match="needs one array named 'w'"):
        load_latents(path)
    for arrays in ({"w": np.zeros([1, 6, 8]), "z": np.zeros([1, 8])}, {"z": np.zeros([0, 8])}):
        np.savez(path, **arrays)
        with pytest.raises(UserError, match="needs one array"):
            load_latents(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"not a readable \.npz file"):
        load_latents(path)
    np.savez(path, w=np.array([{"code": "to run"}], dtype=object))
    with pytest.raises(UserError, match=r"not a readable \.npz file"):
        load_latents(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(UserError, match=r"not a readable \.npz file"):
        load_latents(path)
    path.write_text("neither")
    with pytest.raises(UserError, match=r"not a readable \.npz file"):
        load_latents(path)
    np.savez(path, w=np.array(["text"]))
    with pytest.raises(UserError, match=r"not a readable \.npz file"):
        load_latents(path)


@pytest.mark.parametrize("value", [-1e30, 2e6])
def test_latents_of_which_no_picture_comes(tmp_path: Path, value: float):
    np.savez(tmp_path / "w.npz", w=np.full([1, 6, 8], value))
    with pytest.raises(UserError, match=r"its latents reach (1e\+30|2e\+06), with which no model makes pictures"):
        load_latents(tmp_path / "w.npz")
