"""Ten thousand messages of nonsense, half-sense and files, and as many again: the server's memory does not grow."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from editing.document import Document, encode_array, to_json
from editing.rendering import render
from editing.server.protocol import read_frame
from tests.editing.server.running import PATIENCE, Running, open_page, running_server
from tests.tiny_models import save_tiny_snapshot

MESSAGES, BEFORE = 20_000, 10_000  # memory is compared with what it was after so many, when all has been used once
GROWTH = 24  # MiB
NOTHING = [None, True, -1, 0, 1e308, -1e308, 2**70, "", "x" * 5000, [], {}, [[]], [None] * 300, "\ud800", "../key"]


def valid_messages() -> list[dict[str, Any]]:
    layout = {"levels": [{"centers": [[0.1, 0.2]], "spreads": [0.3], "strengths": [1.0]}]}
    document = to_json(Document(seed=3, layout=layout, w=encode_array(np.zeros([1, 2, 3], np.float32))))
    document["drag"] = {"points": [{"from": [0, 0], "to": [0.5, 0.5]}], "mask": {"circle": [0, 0, 0.5]}}
    document["history"] = [to_json(Document(seed=1))]
    plain = to_json(Document(seed=5))
    pulled = {**plain, "drag": document["drag"]}
    return [
        {"type": "render", "slot": "main", "document": document, "overlay": {"kind": "features", "resolution": 8}},
        {"type": "render", "slot": "gallery3", "document": plain},
        {"type": "render", "slot": "main", "document": plain, "overlay": {"kind": "attention", "resolution": 8}},
        {"type": "drag", "document": pulled, "options": {"mode": "latent", "max_steps": 3, "lr": 0.01}},
        {"type": "drag", "document": {**pulled, "drag": {**document["drag"], "mask": {"png": "iVBORw0KGgo="}}}},
        {"type": "invert", "document": plain, "options": {"space": "w", "steps": 2, "optimize_layout": True}},
        {"type": "film", "documents": [plain, plain], "suffix": ".gif", "frames": 2, "marks": True},
        {"type": "stop"},
    ]


def changed(value: Any, random: random.Random) -> Any:
    """The same with something wrong somewhere in it."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        what = random.random()
        if what < 0.1:
            return {name: each for name, each in value.items() if name != key}
        if what < 0.2:
            return {**value, f"{key}?": value[key]}
        return {**value, key: changed(value[key], random)}
    if isinstance(value, list) and value and random.random() < 0.7:
        place = random.randrange(len(value))
        return [*value[:place], changed(value[place], random), *value[place + 1 :]]
    if isinstance(value, (int, float)) and random.random() < 0.5:
        return value * random.choice([-1, 0.5, 2, 1e9]) + random.choice([0, 1])
    return random.choice(NOTHING)


def message(number: int, random: random.Random) -> str | bytes:
    """One of many kinds."""
    kind = random.random()
    if kind < 0.05:
        return random.randbytes(random.randrange(2000))
    if kind < 0.1:
        return b"\x89PNG\r\n\x1a\n" + random.randbytes(200)
    text = json.dumps({**random.choice(valid_messages()), "id": number})
    if kind < 0.2:
        return text[: random.randrange(len(text))]
    if kind < 0.25:
        return random.choice(["[" * 50_000, "NaN", '{"type": "render", "id": 1, "document": ' * 200, "\0", "{}" * 100])
    if kind < 0.3:
        place = random.randrange(len(text))
        return text[:place] + chr(random.randrange(0x20, 0x2FF)) + text[place + 1 :]
    return json.dumps(changed({**json.loads(text)}, random))


def resident_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_ten_thousand_messages_leave_the_server_as_it_was(tmp_path: Path):
    stream, sent, memory, answers = random.Random(0), 0, 0.0, {}
    with running_server(save_tiny_snapshot(tmp_path)) as server:
        while sent < MESSAGES:
            with open_page(server) as page:
                for _ in range(100):
                    page.socket.send(message(sent, stream))
                    sent += 1
                    if sent == BEFORE:
                        memory = resident_mib()
                count_answers(page.socket, answers)
        grown = resident_mib() - memory
        check_alive(server)
    assert answers["error"] >= MESSAGES // 100  # one a connection at least; of several that wait, the newest is sent
    assert answers["picture"] > 10
    assert grown < GROWTH


def count_answers(socket: Any, answers: dict[str, int]) -> None:
    """Until the answer to a last, good request."""
    socket.send(json.dumps({"type": "render", "id": 10**9, "slot": "last", "document": to_json(Document(seed=1))}))
    try:
        while True:
            data = socket.recv(timeout=PATIENCE)
            header = json.loads(data) if isinstance(data, str) else read_frame(data)[0]
            answers[header["type"]] = answers.get(header["type"], 0) + 1
            if header.get("id") == 10**9:
                return
    except ConnectionClosed as closed:
        raise AssertionError(f"the server closed the connection: {closed}") from closed


def check_alive(server: Running) -> None:
    """It makes the right picture."""
    with open_page(server) as page:
        page.render(Document(seed=4), id=1)
        header, parts = page.wait_for("picture", id=1)
        expected = render(server.editor.engine.model, Document(seed=4))
        assert header["layout"] == expected.layout_json()
        assert parts["picture"] == expected.image.tobytes()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_long_drag_keeps_memory_flat(tmp_path: Path):
    """Three minutes of 30 moves a second, as fast as they are answered; benchmarks/editor_memory.py does an hour."""
    from benchmarks.editor_memory import Dragging

    with running_server(save_tiny_snapshot(tmp_path)) as server, open_page(server, wait=False) as connection:
        page = Dragging(connection.socket)
        page.begin()
        page.go(1500)
        memory = resident_mib()
        page.go(3900)
        assert page.answered == page.sent == 5401
        assert resident_mib() - memory < 8
