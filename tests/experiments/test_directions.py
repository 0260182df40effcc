"""experiments/directions.py: its list, what it measures of a tiny model, and what it writes."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image

from dnnlib.errors import UserError
from editing.latent.methods import METHODS
from experiments.directions import LIST, main
from experiments.studies.directions import Sums, differences, read_study, table
from tests.editing.latent.conditions.test_files import Means, script
from tests.tiny_models import save_tiny_snapshot


@pytest.mark.parametrize("path", [LIST, LIST.with_name("sums.yaml")])
def test_the_lists_that_come_with_it(path: Path):
    study = read_study(path)
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
    assert said.startswith("| correlation | mean0 | mean1 | mean2 |")
    line = said.splitlines()[2].split(" | ")
    assert line[:2] == ["| mean0", ""]
    assert -1 <= float(line[2]) <= 1
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
    assert lines[0] == "| method | seeds | mean0 | mean2 | MDS, mean | edits that arrived | steps | others unchanged |"
    assert lines[2].split(" | ")[:5] == ["| a", "2", *["0.30 +- 1.27"] * 3]
    assert lines[2].split(" | ")[6] == "7.00"


def test_the_first_row_is_compared_with_others_seed_by_seed(study: Path):
    def found(*areas: float) -> dict:
        return {"curves": {name: {"mds": area} for name, area in zip(("mean0", "mean2"), areas, strict=True)}}

    results = {"a": {"0": found(0.5, 0.7), "1": found(0.6, 0.8), "2": found(1, 1)},
               "b": {"0": found(0.4, 0.7), "1": found(0.5, 0.9)}}  # fmt: skip
    lines = differences(read_study(study), results).splitlines()
    assert lines[0] == "| a minus | seeds | mean0 | mean2 | MDS, mean |"
    assert lines[2] == "| b | 2 | 0.100 +- 0.000 | -0.050 +- 0.635 | 0.025 +- 0.318 |"


def test_sums_take_the_place_of_what_they_are_made_of():
    class Three:
        names = ("a", "b", "c")

        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean((2, 3))

    condition = Sums(Three(), {"d": {"a": 1, "c": -0.5}})
    assert condition.names == ("b", "d")
    images = torch.ones(2, 3, 4, 4) * torch.tensor([3.0, 5.0, 8.0])[:, None, None]
    assert condition(images).tolist() == [[5.0, -1.0]] * 2
    with pytest.raises(UserError, match="no attribute 'z'"):
        Sums(Three(), {"d": {"z": 1}})


@pytest.mark.slow
def test_a_folder_keeps_to_one_study(study: Path):
    run(study)
    other = study.with_name("other.yaml")
    content = yaml.safe_load(study.read_text())

    def refused() -> str:
        result = CliRunner().invoke(main, [f"--list={other}", f"--outdir={study.parent / 'out'}", "--device=cpu"])
        assert result.exit_code == 2, result.output
        assert result.output.count("\n") == 1
        return result.output

    other.write_text(yaml.safe_dump(content | {"samples": 61}))
    assert "has results of another study, in which samples differ; name another --outdir" in refused()
    other.write_text(yaml.safe_dump(content | {"rows": {"a": {"method": "sefa", "strengths": 2}}}))
    assert "in which row a differ" in refused()
    (study.parent / "out" / "study.json").unlink()  # of an earlier version
    other.write_text(yaml.safe_dump(content | {"attributes": ["mean1"]}))
    assert "in which attributes differ" in refused()
    before = (study.parent / "out" / "results.json").read_bytes()
    run(study, "--only=a")
    assert (study.parent / "out" / "results.json").read_bytes() == before


def test_rows_that_are_not_in_the_list_are_refused(study: Path):
    result = CliRunner().invoke(main, [f"--list={study}", f"--outdir={study.parent}", "--only=c"])
    assert result.exit_code == 2
    assert "--only 'c' is not in the list; known: a, b" in result.output
