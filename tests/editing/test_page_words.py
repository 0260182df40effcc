"""The lines of Python that the page hands out name what there is."""

import importlib
import re
from pathlib import Path

import pytest

from dnnlib.errors import UserError
from editing.document import MOST_HISTORY, Document, load_session, save_session
from editing.server.protocol import MOST_KEYFRAMES, UPLOAD_LIMIT
from editing.server.uploads import PIXELS_LIMIT

PAGE_FOLDER = Path(__file__).parents[2] / "editing" / "page"
WORDS = (PAGE_FOLDER / "words.js").read_text(encoding="utf-8")


def test_what_the_lines_import_exists():
    imported = re.findall(r"from ([\w.]+) import (\w+)[;\"\s]", WORDS)
    assert ("editing.document", "load_session") in imported
    assert len(imported) >= 4
    for module, name in imported:
        assert callable(getattr(importlib.import_module(module), name)), f"{module}.{name}"


def test_the_page_knows_what_the_server_takes():
    """A file that is too large would end the connection, and the page would not know why."""
    text = {name: (PAGE_FOLDER / name).read_text(encoding="utf-8") for name in ("photo.js", "history.js", "fit.js")}
    (shift,) = re.findall(r"const LARGEST = 20 << (\d+);", text["photo.js"])
    assert 20 << int(shift) == UPLOAD_LIMIT
    (pixels,) = re.findall(r"const MOST_PIXELS = ([\d_]+);", text["photo.js"])
    assert int(pixels) == PIXELS_LIMIT
    assert re.findall(r"const MOST_KEYFRAMES = (\d+);", text["history.js"]) == [str(MOST_KEYFRAMES)]
    assert re.findall(r"const MOST_STATES = (\d+);", text["fit.js"]) == [str(MOST_HISTORY)]


def test_a_session_is_loaded_as_it_was_saved(tmp_path: Path):
    document = Document(network="faces32", seed=7, truncation_psi=0.7, layout=None)
    save_session(tmp_path / "session.json", document)
    assert load_session(tmp_path / "session.json") == document


def test_another_file_is_no_session(tmp_path: Path):
    path = tmp_path / "layout.json"
    path.write_text("{}")
    with pytest.raises(UserError, match=rf"^{path}: not a session of the editor"):
        load_session(path)
