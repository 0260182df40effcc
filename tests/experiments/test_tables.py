"""A table of the papers, measured: its rows with what the paper says beside what they reached."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dnnlib.errors import UserError
from experiments import steer
from experiments.tables import MEASURED_BY, comparison, main, of_the_paper, rows_of
from metrics import registry
from tests.experiments.pretending import pretending
from training.presets.tables import rows


def test_rows_are_trained_and_stand_beside_the_papers_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def measure(options: dict[str, str]) -> None:
        for metric in options["metrics"].split(","):
            line = {"kimg": 1.0, "results": {metric: 5.0}}
            (Path(options["network"]) / f"metric-{metric}.jsonl").write_text(json.dumps(line) + "\n")

    seen: list[tuple[str, ...]] = []
    monkeypatch.setattr(steer, "command", pretending(seen, measure))
    words = ["--table=EqGAN-SA, table 1", "--data=cat.zip", "--on=LSUN Cat", f"--outdir={tmp_path}", "--device=cpu"]
    result = CliRunner().invoke(main, [*words, "--train=--kimg=3"])
    assert result.exit_code == 0, result.output
    trained = [words for words in seen if words[0] == "train.py"]
    methods = [word for words in trained for word in words if word.startswith("--method")]
    assert methods == ["--method=eqgan-1-baseline", "--method=eqgan-1-sel", "--method=eqgan-1-align"]
    assert all({"--data=cat.zip", "--kimg=3", "--cfg=paper256"} <= set(words) for words in trained)
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[0].endswith("| fid50k_full | di | in the paper | LSUN Cat: FID | LSUN Cat: DI |")
    assert lines[3] == "| eqgan-1-sel | 1 | 1 | 30 | 5.00 | 5.00 | + SEL | 7.82 | 3.12 |"


def test_every_quantity_of_the_papers_has_a_metric():
    quantities = {name for row in rows().values() for numbers in row.paper.values() for name in numbers}
    assert quantities <= MEASURED_BY.keys()
    registry.check([metric for metric, _ in MEASURED_BY.values()])


def test_a_stand_in_has_another_configuration_and_other_metrics():
    which = comparison(rows_of("SpatialGAN, table I"), "demo", "--kimg=10", "centroid_co_move:from_centre,di")
    assert which.metrics == [("centroid_co_move", "from_centre"), ("di", "di")]
    assert which.common == ["--kimg=10"]
    assert which.rows["spatialgan-1-indoor"] == ["--cfg=demo", "--method=spatialgan-1-indoor"]


def test_all_data_sets_of_the_paper_are_shown_unless_one_is_named():
    columns = of_the_paper(rows_of("SpatialGAN, table III"), None)
    assert list(columns) == ["in the paper", "LSUN Bedroom: FID", "LSUN Cat: FID", "FFHQ: FID", "LSUN Church: FID"]
    assert "spatialgan-3-bedroom" not in columns["FFHQ: FID"]


def test_unknown_tables_and_data_sets_are_refused():
    with pytest.raises(UserError, match="did you mean 'SpatialGAN, table I'"):
        rows_of("SpatialGAN table I")
    result = CliRunner().invoke(main, ["--table=SpatialGAN, table I", "--data=x.zip", "--on=Cats"])
    assert (result.exit_code, "LSUN Bedroom" in result.output) == (2, True)
