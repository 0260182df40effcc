"""Files of directions: read back as written, refused when damaged, and steps along them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dnnlib.errors import UserError
from tests.tiny_models import save_tiny_snapshot
from torch_utils.tensor_files import write_tensors
from training.latent.directions import (
    FORMAT,
    Directions,
    DirectionStep,
    load_directions,
    moved_along,
    parse_steps,
    save_directions,
)


def make(**changes) -> Directions:
    vectors = torch.eye(8)[:3]
    return replace(Directions(vectors, torch.tensor([1.0, 2.0, 0.5]), "sefa", ("a", "b", "c"), network="x"), **changes)


def test_a_file_is_read_back_as_it_was_written(tmp_path: Path):
    directions = make(layers=(1, 3), part="objects")
    found = load_directions(save_directions(tmp_path / "a.safetensors", directions))
    assert torch.equal(found.vectors, directions.vectors)
    assert torch.equal(found.deviations, directions.deviations)
    plain = {name: getattr(found, name) for name in ("method", "names", "layers", "part", "network")}
    assert plain == {"method": "sefa", "names": ("a", "b", "c"), "layers": (1, 3), "part": "objects", "network": "x"}


def test_a_step_is_so_many_deviations_in_the_layers_of_the_file():
    ws = torch.zeros(2, 5, 8)
    moved = make(layers=(1, 3)).moved(ws, 1, torch.tensor([1.0, -3.0]))
    expected = torch.zeros(2, 5, 8)
    expected[0, 1:4, 1], expected[1, 1:4, 1] = 2.0, -6.0
    assert torch.equal(moved, expected)
    assert torch.equal(ws, torch.zeros(2, 5, 8))


@pytest.mark.parametrize("part, codes", [("all", [0, 1, 2]), ("objects", [0, 1]), ("background", [2])])
def test_a_step_moves_the_codes_of_its_part(part: str, codes: list[int]):
    moved = make(part=part).moved(torch.zeros(1, 4, 3, 8), 0, 2.0)
    assert torch.nonzero(moved[0, 0, :, 0]).flatten().tolist() == codes
    assert moved[..., 1:].abs().sum() == 0


def test_steps_in_words():
    steps = parse_steps(["C:/a.safetensors:smile:-2.5", "b:0:1e1"])
    assert steps == [DirectionStep("C:/a.safetensors", "smile", -2.5), DirectionStep("b", "0", 10.0)]


@pytest.mark.parametrize("text, words", [
    ("a.safetensors", "is not of the form"),
    ("a.safetensors:1", "is not of the form"),
    ("a::1", "is not of the form"),
    (":0:1", "is not of the form"),
    ("a:0:", "is not of the form"),
    ("a:0:x", "must be 1 comma-separated number"),
    ("a:0:nan", "must be finite"),
    ("a:0:1e9", "from -10000 to 10000"),
])  # fmt: skip
def test_other_words_are_refused(text: str, words: str):
    with pytest.raises(UserError, match=words):
        parse_steps([text])


def test_several_steps_add_up_and_directions_have_names(tmp_path: Path):
    path = str(save_directions(tmp_path / "a.safetensors", make()))
    ws = moved_along(torch.zeros(1, 2, 8), [DirectionStep(path, "b", 1.0), DirectionStep(path, "2", -2.0)], "")
    assert ws[0, 1].tolist() == [0, 2, -1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("key, words", [
    ("3", "the largest number here is 2"), ("-1", "no direction '-1'"), ("aa", "did you mean 'a'"),
    ("٣", "no direction"),
])  # fmt: skip
def test_directions_that_are_not_there_are_refused(tmp_path: Path, key: str, words: str):
    path = str(save_directions(tmp_path / "a.safetensors", make()))
    with pytest.raises(UserError, match=words):
        moved_along(torch.zeros(1, 2, 8), [DirectionStep(path, key, 1.0)], "")


@pytest.mark.parametrize("changes, w_shape, words", [
    ({}, (5, 16), "directions of 8 numbers, but this model's styles have 16"),
    ({"layers": (0, 5)}, (5, 8), "layers 0-5, but this model has 0-4"),
    ({"part": "background"}, (5, 8), "directions of background"),
])  # fmt: skip
def test_directions_of_another_model_are_refused(changes: dict, w_shape: tuple[int, ...], words: str):
    with pytest.raises(UserError, match=words):
        make(**changes).fitted(w_shape, "a.safetensors")


ABOUT = {"version": 1, "method": "sefa", "names": ["a", "b", "c"], "layers": None, "part": "all", "network": ""}
VECTORS, DEVIATIONS = torch.eye(8)[:3], torch.ones(3)


@pytest.mark.parametrize("about, tensors, words", [
    ({"version": 2}, {}, "version 2 of such files"),
    ({"version": None}, {}, "version None"),
    ({"method": 3}, {}, "not understood"),
    ({"names": "abc"}, {}, "not understood"),
    ({"names": ["a", 1, "c"]}, {}, "not understood"),
    ({"names": ["a"]}, {}, "3 vectors, 3 deviations and 1 names"),
    ({"part": "feet"}, {}, "not understood"),
    ({"layers": [3, 1]}, {}, "are no range"),
    ({"layers": [0, True]}, {}, "are no range"),
    ({"layers": [0]}, {}, "are no range"),
    ({}, {"vectors": torch.zeros(3, 8)}, "not of length 1"),
    ({}, {"vectors": torch.full([3, 8], float("nan"))}, "not of length 1"),
    ({}, {"vectors": torch.zeros(3)}, "vectors \\[k, w_dim\\]"),
    ({}, {"vectors": VECTORS.double()}, "in float32"),
    ({}, {"vectors": torch.zeros(0, 8), "deviations": torch.zeros(0)}, "are no directions"),
    ({}, {"deviations": torch.zeros(3)}, "not all positive"),
    ({}, {"deviations": torch.tensor([1.0, float("inf"), 1.0])}, "not all positive"),
    ({}, {"deviations": torch.ones(2)}, "3 vectors, 2 deviations and 3 names"),
    ({}, {"more": torch.ones(2)}, "damaged"),
])  # fmt: skip
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, about: dict, tensors: dict, words: str):
    path = tmp_path / "a.safetensors"
    whole = {"vectors": VECTORS, "deviations": DEVIATIONS} | tensors
    write_tensors(path, whole, {FORMAT: json.dumps(ABOUT | about)})
    with pytest.raises(UserError, match=words) as caught:
        load_directions(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("metadata", ["[]", "{", "null"])
def test_metadata_that_is_no_object_is_refused(tmp_path: Path, metadata: str):
    write_tensors(tmp_path / "a.safetensors", {"vectors": VECTORS, "deviations": DEVIATIONS}, {FORMAT: metadata})
    with pytest.raises(UserError, match=r"a\.safetensors"):
        load_directions(tmp_path / "a.safetensors")


def test_other_files_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="no such file"):
        load_directions(tmp_path / "missing.safetensors")
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(UserError, match="not readable"):
        load_directions(tmp_path / "text")
    with pytest.raises(UserError, match="not a file of directions"):
        load_directions(save_tiny_snapshot(tmp_path))


def test_a_bit_that_flipped_is_noticed(tmp_path: Path):
    path = save_directions(tmp_path / "a.safetensors", make())
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="checksum"):
        load_directions(path)
