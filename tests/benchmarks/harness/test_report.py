"""The report: its form, its verdict, what it says of the code and of paths, and what is no report."""

import json
import subprocess
from pathlib import Path

import pytest
import torch

from benchmarks.harness.machine import SWITCHES, convolution_rate, machine
from benchmarks.harness.report import (
    Report,
    commit,
    now,
    ratios_of,
    read_report,
    relative,
    what_speaks_against,
    write_report,
)
from benchmarks.harness.series import RULE, Series
from benchmarks.harness.table import closing, table
from dnnlib.errors import UserError
from tests.benchmarks.reports import around, make_report

SERIES = {"A": {"x": around(3.0), "wait": around(1.0, judged=False)}, "B": {"x": around(2.0), "y": around(9.0)}}


def test_keys_of_the_file(tmp_path: Path):
    path = tmp_path / "report.json"
    report = make_report(SERIES, [("A", "B")])
    write_report(path, report)
    content = json.loads(path.read_text())
    assert list(content) == [
        "version", "benchmark", "command", "commit", "date", "rounds", "quick", "machine", "rate", "settings", "series",
        "ratios", "facts", "verdict",
    ]  # fmt: skip
    assert content["machine"].keys() == {"cpu", "kind", "switches", "cores", "threads", "torch", "gpu"}
    assert content["series"]["A"]["x"].keys() == {
        "unit", "samples", "median", "range", "interval", "judged", "steady",
    }  # fmt: skip
    assert content["rate"] == {"convolution": "3x3", "before": 100.0, "after": 101.0}
    assert content["verdict"] == {"steady": True, "against": [], "rule": RULE}
    assert content["ratios"]["A to B"]["x"]["median"] == pytest.approx(1.5)
    assert read_report(path) == report


def test_ratios_are_of_judged_quantities_that_both_have():
    ratios = ratios_of(SERIES | {"C": {"x": around(1.0)}}, [("A", "B"), ("A", "C")])
    assert {name: list(quantities) for name, quantities in ratios.items()} == {"A to B": ["x"], "A to C": ["x"]}


@pytest.mark.parametrize("change, reason", [
    ({"quick": True, "rounds": 2}, "--quick, 2 rounds"),
    ({"rounds": 4}, "4 rounds, fewer than 5"),
    ({"rate": (100.0, 80.0)}, "the machine did 100 GFLOP/s before and 80 after"),
])  # fmt: skip
def test_what_speaks_against_a_report(change: dict, reason: str):
    report = make_report({"A": {"x": around(3.0, rounds=change.get("rounds", 5))}}, **change)
    assert not report.steady
    assert report.verdict.against == [reason]
    assert closing(report)[1:] == [f"not steady, not to be cited: {reason}"]
    assert closing(make_report(SERIES))[1:] == ["steady: 5 rounds"]


def test_one_quantity_or_ratio_that_is_not_steady_is_named():
    wild = Series.of("s", [1.0, 1.0, 1.0, 1.0, 2.0])
    report = make_report({"A": {"x": wild, "y": around(1.0)}, "B": {"x": around(1.0)}}, [("A", "B")])
    assert report.verdict.against == ["A, x: 1 to 2 s", "A to B, x: 0.9901 to 1.961 ratio"]
    loose = Series.of("s", wild.samples, judged=False)
    assert make_report({"A": {"x": loose}}).steady


def test_the_rate_does_not_matter_where_nothing_is_judged():
    rate = make_report({}, rate=(100.0, 50.0)).rate
    assert what_speaks_against(5, False, rate, {"A": {"x": around(1.0, judged=False)}}, {}) == []


@pytest.mark.parametrize("change, fault", [
    ({"version": 2}, "version"),
    ({"rounds": 0}, "rounds"),
    ({"unheard": 1}, "unheard"),
    ({"quick": True}, "the verdict is not that of the figures"),
    ({"rounds": 6}, "A, x has 5 samples in 6 rounds"),
    ({"date": "2025-01-01T00:00:00"}, "date"),
    ({"machine": {"cpu": "x"}}, "machine.kind"),
])  # fmt: skip
def test_what_is_no_report_is_refused_in_a_line(tmp_path: Path, change: dict, fault: str):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(make_report(SERIES).model_dump(mode="json") | change))
    with pytest.raises(UserError, match="not a report of benchmarks") as caught:
        read_report(path)
    assert fault in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "null", '{"ratio": 1.05, "unsteadiness": 1.1}'])
def test_other_files_are_refused(tmp_path: Path, text: str):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"report\.json"):
        read_report(path)


@pytest.mark.parametrize("word, shown", [
    ("--json=out/a.json", "--json=out/a.json"),
    ("--json=/some/place/out/a.json", "--json=out/a.json"),
    ("/some/place/a.json", "a.json"),
    ("--folder=/elsewhere/deep/b", "--folder=b"),
    ("--batches=1,4", "--batches=1,4"),
    ("spatialgan", "spatialgan"),
])  # fmt: skip
def test_commands_name_no_absolute_path(word: str, shown: str):
    assert relative(word, Path("/some/place")) == shown


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=folder, check=True)


def test_commit_and_whether_code_differs_from_it(tmp_path: Path):
    assert commit(tmp_path / "missing") is None
    git(tmp_path, "init", "-q")
    assert commit(tmp_path) is None  # nothing committed
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "b.txt").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    clean = commit(tmp_path)
    assert len(clean.id) == 40
    assert not clean.dirty
    (tmp_path / "docs" / "b.txt").write_text("2")
    (tmp_path / "new").write_text("not tracked")
    assert commit(tmp_path) == clean
    (tmp_path / "a.py").write_text("2")
    assert commit(tmp_path) == clean.model_copy(update={"dirty": True})


def test_the_machine_and_what_holds_it_down(monkeypatch: pytest.MonkeyPatch):
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.setenv("OMP_WAIT_POLICY", "")
    here = machine(torch.device("cpu"))
    assert here.switches == {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    assert here.kind == torch.backends.cpu.get_cpu_capability()
    assert (here.threads, here.torch, here.gpu) == (torch.get_num_threads(), torch.__version__, None)
    assert here.cpu
    assert here.cores >= 1


def test_the_machines_rate_is_operations_by_seconds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmarks.harness.machine.seconds_of", lambda work, device: work() is None or 0.5)
    assert convolution_rate(torch.device("cpu")) == pytest.approx(2 * 9 * 64 * 64 * 4 * 128 * 128 / 0.5 / 1e9)


def test_the_table_has_a_column_a_subject_and_a_pair():
    lines = table(make_report(SERIES, [("A", "B")])).splitlines()
    assert lines[0].split() == ["A", "B", "A", "to", "B"]
    assert " ".join(lines[1].split()) == "x, s 3 (2.94 to 3.06) 2 (1.96 to 2.04) 1.5 (1.5 to 1.5)"
    assert " ".join(lines[2].split()) == "wait, s 1 (0.98 to 1.02) - -"
    assert len({len(line) for line in lines}) == 1


def test_subjects_that_have_nothing_in_common_are_below_each_other():
    both = SERIES | {"C": {"z": around(1.0)}, "D": {"z": around(1.0)}}
    lines = table(make_report(both, [("A", "B"), ("C", "D")])).splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["A", "B"], ["x,", "s"], ["wait,", "s"], ["y,", "s"], ["C", "D"], ["z,", "s"],
    ]  # fmt: skip
    assert lines[0].split()[2:] == ["A", "to", "B"]
    assert lines[4].split()[2:] == ["C", "to", "D"]
    assert table(make_report({})) == ""


def test_the_date_has_a_time_zone():
    assert now().tzinfo is not None
    assert Report.model_fields["date"].is_required()
