"""`make bench` runs what the benchmarks' README says it runs."""

import re
from itertools import groupby
from pathlib import Path

import pytest

from benchmarks import editor_process
from benchmarks.harness.report import ROOT


def commands(text: str) -> list[str]:
    """The benchmarks that a text names behind python -m, those named several times in a row once."""
    return [name for name, _ in groupby(re.findall(r"-m benchmarks\.(\w+)", text))]


def recipe() -> str:
    """Of the target bench, with the variables that stand for a benchmark's call."""
    text = (ROOT / "Makefile").read_text()
    calls = dict(re.findall(r"^(\w+) := (-m benchmarks\..*)$", text, re.MULTILINE))
    lines = re.search(r"^bench:.*\n((?:\t.*\n)+)", text, re.MULTILINE)[1]
    return re.sub(r"TRAIN_STEP|PROFILE|INFERENCE", lambda found: calls[found[0]], lines)


def test_all_benchmarks_run_in_the_order_of_the_table():
    page = (ROOT / "benchmarks" / "README.md").read_text()
    table = commands("\n".join(re.findall(r"^\| `python .*$", page, re.MULTILINE)))
    kinds = [path.stem for path in Path(ROOT, "benchmarks").glob("*.py") if "@benchmark(" in path.read_text()]
    assert sorted(table) == sorted([*kinds, "figures"])
    assert [name for name in commands(recipe()) if name != "editor_process"] == table


def test_a_machine_without_a_browser_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(editor_process, "BROWSERS", (Path("/nowhere/chromium"),))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert editor_process.lacking() == "this needs a browser at one of /nowhere/chromium; apt-get install chromium"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install playwright" in editor_process.lacking()
