"""Comparisons over seeds: every row is one that train.py accepts, tables have intervals, what is done is kept."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from dataset_tool import main as make_data
from dnnlib.errors import UserError
from dnnlib.files import write_json
from experiments import steer
from experiments.steer import LIST, Comparison, cell, chosen_rows, interval, known_results, main, read_comparison
from metrics import registry
from tests.experiments.pretending import pretending
from train import main as train_command

LISTS = [LIST, *map(LIST.with_name, ("ladder.yaml", "short_runs.yaml", "slow_learners.yaml"))]
CUTOUTS = ("1f34f", "2b50", "2764-fe0f", "1f43c", "1f30d")  # names of the emoji that ladder.yaml composes


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What would have been run; training leaves a snapshot, measuring 0.5 for the first seed, 0.7 for others."""
    seen: list[tuple[str, ...]] = []

    def measure(options: dict[str, str]) -> None:
        value = 0.5 if "seed0" in options["network"] else 0.7
        line = {"kimg": 1.0, "results": {"from_centre": value}}
        (Path(options["network"]) / "metric-centroid_co_move.jsonl").write_text(json.dumps(line) + "\n")

    monkeypatch.setattr(steer, "command", pretending(seen, measure))
    return seen


@pytest.fixture
def short_list(tmp_path: Path) -> Path:
    path = tmp_path / "list.yaml"
    path.write_text(
        "data: toy --kind=faces\ncommon: --cfg=demo\nmetrics: ['centroid_co_move:from_centre']\n"
        "rows: {plain: '', other: --gamma=9}\n"
    )
    return path


@pytest.fixture
def cutouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Discs under the emoji's names, where ladder.yaml looks for them: in package/assets."""
    monkeypatch.chdir(tmp_path)
    Path("package/assets").mkdir(parents=True)
    rows, columns = np.mgrid[-1:1:16j, -1:1:16j]
    disc = np.where((rows**2 + columns**2 < 1)[..., None], 255, 0).astype(np.uint8)
    for name in CUTOUTS:
        Image.fromarray(disc.repeat(4, 2)).save(f"package/assets/{name}.png")


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.name)
@pytest.mark.usefixtures("no_summary", "cutouts")
def test_every_row_is_one_that_train_accepts(path: Path, tmp_path: Path):
    which, data = read_comparison(path), tmp_path / "data.zip"
    few = [word for word in which.data if not word.startswith("--images")]
    assert CliRunner().invoke(make_data, [*few, "--images=4", f"--dest={data}"]).exit_code == 0
    common = [f"--outdir={tmp_path}", f"--data={data}", "--device=cpu", "--metrics=none", "--dry-run", *which.common]
    for words in which.rows.values():
        result = CliRunner().invoke(train_command, [*common, *words])
        assert result.exit_code == 0, result.output
    registry.check([metric for metric, _ in which.metrics])


def test_rows_are_trained_with_every_seed_and_tabled_with_intervals(commands: list, short_list: Path, tmp_path: Path):
    options = [f"--outdir={tmp_path / 'out'}", f"--list={short_list}", "--seeds=0,1", "--device=cpu"]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    trained = [words for words in commands if words[0] == "train.py"]
    assert [words[-2] for words in trained] == ["--seed=0", "--seed=0", "--seed=1", "--seed=1"]
    assert ["--gamma=9" in words for words in trained] == [False, True, False, True]
    # mean 0.6, standard deviation 0.1 sqrt(2), t of one degree of freedom 12.706
    assert "| plain | 2 | 1 | 30 +- 0 | 0.60 +- 1.27 |" in (tmp_path / "out" / "table.md").read_text()
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    assert written["other"]["1"]["centroid_co_move:from_centre"] == 0.7


def test_a_row_may_have_some_of_the_metrics_only(commands: list, tmp_path: Path):
    path = tmp_path / "list.yaml"
    path.write_text(
        "data: toy\ncommon: --cfg=demo\nmetrics: [rfd1k, 'centroid_co_move:from_centre']\n"
        "rows: {alone: {train: --method=stylegan2, metrics: [rfd1k]}, steered: --method=spatialgan}\n"
    )
    options = [f"--outdir={tmp_path / 'out'}", f"--list={path}", "--seeds=0", "--device=cpu"]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    measured = [words[2] for words in commands if words[0] == "calc_metrics.py"]
    assert measured == ["--metrics=rfd1k", "--metrics=rfd1k,centroid_co_move"]


def test_what_is_measured_is_not_measured_again(commands: list, short_list: Path, tmp_path: Path):
    options = [f"--outdir={tmp_path / 'out'}", f"--list={short_list}", "--seeds=0", "--device=cpu"]
    CliRunner().invoke(main, options)
    commands.clear()
    CliRunner().invoke(main, options)
    assert {words[0] for words in commands} == {"train.py"}  # which says that it is finished


def test_two_commands_side_by_side_keep_each_other_s_rows(
    commands: list, short_list: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out, measured = tmp_path / "out", {"kimg": 2, "seconds": 3, "centroid_co_move:from_centre": 0.9}
    carry_out = steer.carry_out

    def while_another_finishes(*arguments):
        write_json(out / "results.json", {"other": {"0": measured}})
        return carry_out(*arguments)

    monkeypatch.setattr(steer, "carry_out", while_another_finishes)
    options = [f"--outdir={out}", f"--list={short_list}", "--seeds=0", "--only=plain", "--device=cpu"]
    assert CliRunner().invoke(main, options).exit_code == 0
    written = json.loads((out / "results.json").read_text())
    assert list(written) == ["plain", "other"]  # as in the list
    assert written["other"] == {"0": measured}


def test_intervals_are_student_s():
    mean, half = interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert half == pytest.approx(4.3027 / 3**0.5, rel=1e-4)
    assert math.isnan(interval([1.0])[1])
    assert cell([1.0]) == "1.00"
    assert cell([None]) == "-"


@pytest.mark.parametrize(
    "text",
    [
        "rows: 3",
        "[",
        "data: x\ncommon: y\nmetrics: [a]\nrows: {a: 3}",
        "data: x\ncommon: y\nmetrics: [a]\nrows: {a: {b: c}}",
    ],
)
def test_other_files_are_refused_in_one_line(text: str, tmp_path: Path):
    path = tmp_path / "list.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"not a comparison \(\w+: .*\)"):
        read_comparison(path)


def test_unknown_rows_and_seeds_are_refused():
    which = Comparison([], [], [], {"demo": []})
    with pytest.raises(UserError, match="'dmo' is not in the list; did you mean 'demo'"):
        chosen_rows(which.rows, "dmo")
    for seeds in ("a,b", "1_0", "１", "-1", "4294967296", "0-99999"):
        result = CliRunner().invoke(main, [f"--seeds={seeds}", "--outdir=/nowhere"])
        assert (result.exit_code, result.output.count("\n")) == (2, 1)
        assert f"'{seeds}'" in result.output


@pytest.mark.parametrize("content", ["{", "[]", '{"demo": 1}', "\0"])
def test_damaged_results_are_refused(content: str, tmp_path: Path):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(UserError, match=r"results\.json"):
        known_results(tmp_path / "results.json")
