"""The notebook: its cells run one after the other, and it is kept without outputs."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = json.loads((ROOT / "docs/tour.ipynb").read_text(encoding="utf-8"))


def code() -> str:
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    return "\n\n".join("".join(cell["source"]) for cell in cells)


def test_it_is_a_notebook_without_outputs():
    assert (NOTEBOOK["nbformat"], NOTEBOOK["metadata"]["kernelspec"]["name"]) == (4, "python3")
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


def test_no_cell_needs_more_than_python():
    """None begins a line with ! or %, which only notebooks understand; all together are a module of statements."""
    assert len(ast.parse(code(), "tour").body) >= 5


@pytest.mark.slow
def test_every_cell_runs(tmp_path: Path):
    script = code() + "\nprint(strip.shape, len(images))\n"
    environment = {**os.environ, "TOUR": str(tmp_path), "TOUR_KIMG": "0.3", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True,
                          timeout=1200, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "heard by SEL norm" in done.stdout
    assert (tmp_path / "model.pt2").is_file()
