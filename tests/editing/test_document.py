"""Sessions as JSON: what is written is read back, what is none is refused with the field's name."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnnlib.errors import UserError
from editing.document import (
    Direction,
    Document,
    DragPoint,
    Mask,
    decode_array,
    encode_array,
    from_json,
    to_json,
)

LAYOUT = {"levels": [{"centers": [[0.25, -0.5]], "spreads": [0.5]}, {"centers": [[0.1, 0.2], [1.5, -2.0]],
          "spreads": [0.25, 0.75], "strengths": [1.0, 0.0]}]}  # fmt: skip
FULL = Document(
    network="critters",
    seed=7,
    object_seeds=(1, None, (2**32 - 1, 0)),
    truncation_psi=0.7,
    truncation_cutoff=4,
    label=(0.5, 1.0),
    noise_mode="random",
    noise_seed=3,
    layout=LAYOUT,
    w=encode_array(np.arange(6).reshape(1, 2, 3)),
    directions=(Direction("age.npz", 2, -1.5),),
    points=(DragPoint((0.0, 0.5), (-1.0, 0.25)),),
    mask=Mask(circle=(0.1, 0.2, 0.3)),
)


def changed(**fields) -> dict:
    return to_json(Document()) | fields


@pytest.mark.parametrize("document", [
    Document(), FULL, replace(FULL, mask=Mask(png="aGVsbG8="), label=3), replace(FULL, mask=None, label=None),
])  # fmt: skip
def test_a_document_is_read_back_equal(document: Document):
    text = json.dumps(to_json(document))
    assert from_json(json.loads(text)) == document


def test_a_document_is_read_back_with_its_history():
    document = replace(FULL, history=(to_json(Document(seed=1)), to_json(Document(seed=2))))
    loaded = from_json(json.loads(json.dumps(to_json(document))))
    assert loaded == document
    assert [state["seed"] for state in loaded.history] == [1, 2]


def test_fields_that_are_left_out_have_their_defaults():
    assert from_json({"format": "steergan-session", "version": 1, "seed": 5}) == Document(seed=5)


@pytest.mark.parametrize("value, words", [
    ([], "not a session of the editor"),
    ({"format": "steergan-layout", "version": 1}, "not a session of the editor"),
    ({"format": "steergan-session", "version": 2}, "version 2 of sessions; this reads version 1"),
    (changed(sed=1), "unknown field 'sed'; did you mean 'seed'"),
    (changed(seed=-1), "seed: -1 is out of range"),
    (changed(seed=2**32), "seed: 4294967296 is out of range"),
    (changed(seed=True), "seed: a whole number is needed, not true or false"),
    (changed(seed=1.5), "seed: a whole number is needed"),
    (changed(object_seeds=[0, "1"]), "object_seeds: a whole number is needed, not a text"),
    (changed(object_seeds=[[1, 2, 3]]), "object_seeds: a seed and an object's number"),
    (changed(truncation_psi="1"), "truncation_psi: a number is needed"),
    (changed(truncation_psi=11), "truncation_psi: 11 is out of range; give -10 to 10"),
    (changed(noise_mode="loud"), "noise_mode: 'loud' is none of const, random, none"),
    (changed(noise_mode=["const"]), "noise_mode"),
    (changed(layout={"levels": []}), "layout.levels: there is none"),
    (changed(layout={"levels": [{"centers": [[0, 0]], "spreads": [1, 2]}]}), "levels[0].spreads: 1 number needed"),
    (changed(layout={"levels": [{"centers": [[0, 99]], "spreads": [1]}]}), "layout.levels[0].centers: 99 is out"),
    (changed(layout={"levels": [{"centers": [0], "spreads": [1]}]}), "layout.levels[0].centers: a list is needed"),
    (changed(layout={"levels": [{"centers": [[0, 0]]}]}), "layout.levels[0]: the field 'spreads' is missing"),
    (changed(w=3), "w: a text is needed"),
    (changed(drag={"points": [{"from": [0, 0]}]}), "drag.points[0]: the field 'to' is missing"),
    (changed(drag={"points": [[0, 0]]}), "drag.points[0]: an object is needed, not a list"),
    (changed(drag={"mask": {"circle": [0, 0, -1]}}), "its radius -1 must be positive"),
    (changed(drag={"mask": {}}), "drag.mask: give a circle or a png"),
    (changed(directions=[{"index": 1}]), "directions[0]: the field 'file' is missing"),
    (changed(history=[{"seed": 1}]), "history[0]: not a session of the editor"),
    (changed(history=[changed(history=[changed()])]), "a state has no history of its own"),
    (changed(label=[[1]]), "label: a number is needed, not a list"),
])  # fmt: skip
def test_what_is_no_session_is_refused_in_one_line(value, words: str):
    with pytest.raises(UserError) as caught:
        from_json(value, "there")
    assert words in str(caught.value)
    assert str(caught.value).startswith("there: ")
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted(to_json(FULL).keys() - {"format", "version"})


@given(field=st.sampled_from(FIELDS), value=JSON)
def test_any_json_in_a_field_is_read_or_refused(field: str, value):
    refused = None
    try:
        read = from_json(changed(**{field: value}))
    except UserError as error:
        refused = str(error)
    if refused is None:
        assert from_json(to_json(read)) == read
    else:
        assert field.split("_")[0] in refused


def test_arrays_are_numpy_files(tmp_path):
    values = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4) / 7
    data = base64.b64decode(encode_array(values))
    (tmp_path / "w.npy").write_bytes(data)
    np.testing.assert_array_equal(np.load(tmp_path / "w.npy"), values)
    np.save(tmp_path / "theirs.npy", values)
    theirs = base64.b64encode((tmp_path / "theirs.npy").read_bytes()).decode()
    np.testing.assert_array_equal(decode_array(theirs, "w"), values)


def array(values: np.ndarray, path) -> str:
    np.save(path, values, allow_pickle=True)
    return base64.b64encode(path.with_suffix(".npy").read_bytes()).decode()


def test_other_arrays_are_refused(tmp_path):
    infinite = encode_array(np.array([np.inf]))
    cut = base64.b64encode(base64.b64decode(encode_array(np.zeros([4])))[:-4]).decode()
    objects = array(np.array([{"a": 1}], dtype=object), tmp_path / "objects")
    doubles = array(np.zeros(3), tmp_path / "doubles")
    for text in ("", "no base64!", "aGVsbG8=", infinite, cut, objects, doubles, "\udcff"):
        with pytest.raises(UserError, match=r"^w: "):
            decode_array(text, "w")
