"""experiments/directions.py: its list, what it measures of a tiny model, and what it writes."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from dnnlib.errors import UserError
from editing.latent.methods import METHODS
from experiments.directions import LIST, main, read_study, table
from tests.editing.latent.conditions.test_files import Means, script
from tests.tiny_models import save_tiny_snapshot


def test_the_list_that_comes_with_it():
    study = read_study(LIST)
    assert {method for method, _, _ in study.rows.values()} == set(METHODS)
    assert {space for _, space, _ in study.rows.values()} == {"w", "z"}
    assert Path(LIST.parents[1] / study.network).exists()
    assert len(study.attributes) == 3


@pytest.mark.parametrize("text", [
    "rows: 3", "[", "rows: {a: {space: w}}", "rows: {a: {method: sgf, strengths: x}}", "rows: {}\nmoon: 1", "3",
])  # fmt: skip
def test_other_files_are_refused(tmp_path: Path, text: str):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError, match="not a study"):
        read_study(tmp_path / "a.yaml")
    with pytest.raises(UserError, match="cannot read"):
        read_study(tmp_path / "missing.yaml")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    rows = {"a": {"method": "interfacegan", "strengths": 2}, "b": {"method": "optimization", "strengths": 2}}
    content = {"network": str(save_tiny_snapshot(tmp_path)), "condition": [script(tmp_path / "mean.pt", Means())],
               "attributes": ["mean0", "mean2"], "samples": 60, "edits": 4, "rows": rows}  # fmt: skip
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def run(study: Path, *words: str) -> str:
    fixed = [f"--list={study}", f"--outdir={study.parent / 'out'}", "--device=cpu", "--seeds=0,1"]
    result = CliRunner().invoke(main, [*fixed, *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_every_row_is_measured_with_every_seed_once(study: Path):
    said, out = run(study), study.parent / "out"
    results = json.loads((out / "results.json").read_text())
    assert {row: list(by_seed) for row, by_seed in results.items()} == {"a": ["0", "1"], "b": ["0", "1"]}
    one = results["a"]["1"]
    assert list(one["curves"]) == ["mean0", "mean2"]
    assert len(one["curves"]["mean0"]["accuracy"]) == 2
    assert one["edits"]["count"] == 4
    assert 0 <= one["edits"]["success"] <= 1
    assert said.startswith("correlations: mean0, mean2 ")
    assert (out / "table.md").read_text() in said
    assert Image.open(out / "curves.png").width > 400
    results["a"]["1"]["curves"]["mean0"]["mds"] = 0.123  # what is there is not measured again
    (out / "results.json").write_text(json.dumps(results))
    run(study)
    assert json.loads((out / "results.json").read_text()) == results


def test_the_table_has_means_with_intervals(study: Path):
    def found(mds: float, steps: float | None) -> dict:
        curves = {name: {"mds": mds, "accuracy": [1.0], "disentanglement": [1.0]} for name in ("mean0", "mean2")}
        return {"curves": curves, "edits": {"count": 4, "success": 0.5, "steps": steps, "kept": 1.0}}

    lines = table(read_study(study), {"a": {"0": found(0.2, 7.0), "1": found(0.4, None)}}).splitlines()
    assert lines[0] == "| method | mean0 | mean2 | MDS, mean | edits that arrived | steps | others unchanged |"
    assert lines[2].split(" | ")[:4] == ["| a", *["0.30 +- 1.27"] * 3]
    assert lines[2].split(" | ")[5] == "7.00"


def test_rows_that_are_not_in_the_list_are_refused(study: Path):
    result = CliRunner().invoke(main, [f"--list={study}", f"--outdir={study.parent}", "--only=c"])
    assert result.exit_code == 2
    assert "--only 'c' is not in the list; known: a, b" in result.output
