"""Messages: what is read, what is refused in one line, and frames there and back."""

import json

import numpy as np
import pytest

from dnnlib.errors import UserError
from editing.document import Document, to_json
from editing.server.protocol import (
    TEXT_LIMIT,
    DragRequest,
    FilmRequest,
    InvertRequest,
    Overlay,
    Render,
    Stop,
    frame,
    parse,
    picture_part,
    read_frame,
)

DOCUMENT = to_json(Document(seed=3))


def message(kind: str, **fields) -> str:
    return json.dumps({"type": kind, "id": 7, **fields})


@pytest.mark.parametrize("text, request_", [
    (message("render", document=DOCUMENT), Render(7, "main", Document(seed=3))),
    (message("render", document=DOCUMENT, slot="thumb12", overlay={"kind": "features", "resolution": 8}),
     Render(7, "thumb12", Document(seed=3), Overlay("features", 8))),
    (message("drag", document=DOCUMENT, options={"mode": "hybrid", "max_steps": 20}),
     DragRequest(7, Document(seed=3), {"mode": "hybrid", "max_steps": 20})),
    (message("invert", document=DOCUMENT, options={"optimize_layout": False, "space": "w+"}),
     InvertRequest(7, Document(seed=3), {"optimize_layout": False, "space": "w+"})),
    (message("film", documents=[DOCUMENT, DOCUMENT], suffix=".gif", marks=True),
     FilmRequest(7, (Document(seed=3),) * 2, ".gif", 12, True)),
    (message("stop"), Stop(7)),
])  # fmt: skip
def test_requests(text: str, request_):
    assert parse(text) == request_


@pytest.mark.parametrize("text, words", [
    ("", "not valid JSON"),
    ("[]", "its type is none of"),
    ('{"type": "render", "id": 1e999}', "too large"),
    ('{"type": ["render"]}', "its type is none of") ,
    (message("shell", command="ls"), "its type is none of render, drag, invert, film, stop"),
    (json.dumps({"type": "stop"}), "id: a whole number is needed"),
    (json.dumps({"type": "stop", "id": -1}), "id: -1 is out of range"),
    (message("stop", now=True), "unknown field 'now'"),
    (message("render"), "the field 'document' is missing"),
    (message("render", document=DOCUMENT, slot="../../etc"), "slot: letters"),
    (message("render", document=DOCUMENT, slot="a" * 21), "slot: a text of 21 characters is too long"),
    (message("render", document=DOCUMENT, overlay={"kind": "memory", "resolution": 8}), "overlay.kind"),
    (message("render", document={"format": "x"}), "document: not a session"),
    (message("drag", document=DOCUMENT, options={"max_steps": 10**6}), "options.max_steps: 1000000 is out of range"),
    (message("drag", document=DOCUMENT, options={"__class__": 1}), "options: unknown field '__class__'"),
    (message("invert", document=DOCUMENT, options={"optimize_layout": 1}), "true or false is needed"),
    (message("film", documents=[DOCUMENT], suffix=".gif"), "two keyframes"),
    (message("film", documents=[DOCUMENT] * 101, suffix=".gif"), "101 entries are too many"),
    (message("film", documents=[DOCUMENT] * 2, suffix="/../x.gif"), "is none of .gif, .mp4"),
    ("[" * 200 + "]" * 200, "nest more than"),
    (" " * (TEXT_LIMIT + 1), "is too long"),
])  # fmt: skip
def test_what_is_no_request_is_refused_in_one_line(text: str, words: str):
    with pytest.raises(UserError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_frames_are_read_back():
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    grey = np.arange(4, dtype=np.uint8).reshape(2, 2)
    sent = frame("picture", {"id": 3, "slot": "é"}, [picture_part(picture), picture_part(grey, "o")])
    header, parts = read_frame(sent)
    assert header["type"] == "picture"
    assert (header["id"], header["slot"]) == (3, "é")
    assert header["parts"][0] == {"name": "picture", "width": 4, "height": 2, "channels": 3, "bytes": 24}
    assert header["parts"][1]["channels"] == 1
    assert parts == {"picture": picture.tobytes(), "o": grey.tobytes()}


@pytest.mark.parametrize("damage", [lambda d: b"XXXX" + d[4:], lambda d: d[:-1], lambda d: d + b"0"])
def test_damaged_frames_are_none(damage):
    with pytest.raises(ValueError):
        read_frame(damage(frame("picture", {}, [picture_part(np.zeros([2, 2], np.uint8))])))
