"""Figures of speed, memory and ratio: those of README.md and docs are of steady reports, and what finds others out."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from benchmarks.figures import main
from benchmarks.harness.claims import MANIFEST, claims, problems, prose, read_manifest, renew, renewed
from benchmarks.harness.report import ROOT, read_report, write_report
from benchmarks.harness.series import Series
from dnnlib.errors import UserError
from tests.benchmarks.reports import around, make_report

ENTRY = {
    "in": "README.md",
    "says": "ours takes {:.2f} times as long as theirs",
    "file": "results/a.json",
    "values": [["ratios", "ours to theirs", "step", "median"]],
}


def test_every_figure_of_readme_and_docs_is_of_a_steady_report_or_explained():
    assert problems(ROOT) == []


def test_every_report_in_the_repository_is_one_and_names_no_absolute_path():
    for path in (ROOT / "benchmarks" / "results").rglob("*.json"):
        read_report(path)
        assert '"/' not in path.read_text()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one figure, a steady report of it, and a manifest that says so."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "README.md").write_text("It is good: ours takes\n1.05 times as long as theirs.\n")
    manifest(tmp_path)
    report(tmp_path)
    return tmp_path


def manifest(root: Path, *, entry: dict | None = None, **sections: list) -> None:
    content = {"measured": [ENTRY | (entry or {})], "not_measured": [], "logs": []} | sections
    (root / MANIFEST).write_text(yaml.safe_dump(content))


def report(root: Path, ratio: float = 1.0512, **changes) -> None:
    series = {"ours": {"step": around(2 * ratio), "wait": around(0.1, judged=False)}, "theirs": {"step": around(2)}}
    write_report(root / "results" / "a.json", make_report(series, [("ours", "theirs")], **changes))


def test_a_figure_that_is_right(project: Path):
    assert problems(project) == []


@pytest.mark.parametrize("ratio, is_right", [
    (1.0451, True), (1.0549, True), (1.0449, False), (1.0551, False), (1.9, False),
])  # fmt: skip
def test_values_agree_after_rounding(project: Path, ratio: float, is_right: bool):
    report(project, ratio)
    found = problems(project)
    assert (found == []) == is_right
    assert is_right or f"the page does not say 'ours takes {ratio:.2f} times as long as theirs'" in found[0]


@pytest.mark.parametrize("changes, words", [
    ({"quick": True}, "not steady: --quick"),
    ({"rate": (100.0, 50.0)}, "not steady: the machine did 100 GFLOP/s before and 50 after"),
    ({"dirty": True}, "made with code that is not committed"),
    ({"commit": None}, "made with code that is not committed"),
])  # fmt: skip
def test_reports_that_cannot_stand_for_a_figure(project: Path, changes: dict, words: str):
    report(project, **changes)
    assert words in problems(project)[0]


def test_a_report_of_fewer_rounds_cannot(project: Path):
    series = {name: {"step": Series.of("s", [1.05, 1.05])} for name in ("ours", "theirs")}
    write_report(project / "results" / "a.json", make_report(series, [("ours", "theirs")], rounds=2))
    assert "not steady: 2 rounds, fewer than 5" in problems(project)[0]


@pytest.mark.parametrize("entry, words", [
    ({"file": "results/b.json"}, "there is no results/b.json"),
    ({"values": [["ratios", "ours to theirs", "stride", "median"]]}, "no number at"),
    ({"values": [["ratios", "ours to theirs"]]}, "no number at"),
    ({"values": [["series", "ours", "wait", "median"]]}, "ours, wait has no stable median; cite its range"),
    ({"in": "docs/missing.md"}, "the page does not say"),
    ({"says": "theirs takes {:.2f} times as long as ours"}, "the page does not say"),
    ({"says": "ours takes {:.2f} times as long, {:.1f}"}, "has 2 places for 1 value"),
    ({"says": "ours takes {:.2q} times as long"}, "not a format"),
])  # fmt: skip
def test_entries_that_lead_nowhere(project: Path, entry: dict, words: str):
    manifest(project, entry=entry)
    assert words in problems(project)[0]


def test_a_range_may_be_cited_in_another_unit(project: Path):
    (project / "README.md").write_text("A step waits 98 to 102 ms.")
    wait = ["series", "ours", "wait", "range"]
    manifest(project, entry={
        "says": "waits {:.0f} to {:.0f} ms", "scale": 1000, "values": [[*wait, 0], [*wait, 1]],
    })  # fmt: skip
    assert problems(project) == []


def test_the_other_way_round_figures_without_entry_are_found(project: Path):
    page = project / "docs" / "speed.md"
    page.write_text("Ours is 3.5 times as fast.\n\n```\nrun --speed 3 times as fast  # 12 s an image\n```\n")
    assert [line.split(" is neither")[0] for line in problems(project)] == [
        "docs/speed.md: 'Ours is 3.5 times as fast. 12 s an im'", "docs/speed.md: '3.5 times as fast. 12 s an image'",
    ]  # fmt: skip
    manifest(project, logs=[{"in": "docs/speed.md", "why": "the log of one run"}])
    assert problems(project) == []
    manifest(project, not_measured=[
        {"in": "docs/speed.md", "says": "3.5 times as\nfast", "why": "what arithmetic gives"},
        {"in": "docs/speed.md", "says": "12 s an image", "why": "what arithmetic gives"},
    ])  # fmt: skip
    assert problems(project) == []


def test_what_is_explained_has_to_be_there(project: Path):
    manifest(
        project,
        not_measured=[{"in": "README.md", "says": "nobody says 3 times", "why": "what arithmetic gives"}],
        logs=[{"in": "docs/gone.md", "why": "the log of one run"}],
    )
    assert [line.split(": ", 1)[1] for line in problems(project)] == [
        "the page does not say 'nobody says 3 times'", "no page docs/gone.md",
    ]  # fmt: skip


@pytest.mark.parametrize("text", [
    "spatialgan takes 1.05 times as long", "4.9 times as fast", "about 1.9 times; a", "8 times as many as", "3x faster",
    "twice as fast", "half the time", "a third of the time", "three times as fast", "0.44 s an image", "0.75 s/image",
    "13 pictures a second", "106 images/s", "9.1 to 11.9 seconds per thousand", "268 GFLOP/s", "945 MiB", "1.5 GB",
    "0.3 ms", "12 s/kimg", "about five minutes", "takes about a minute", "21 minutes", "64% of the machine's rate",
    "20% faster", "10 GB/s", "trained in half an hour", "| seconds per 1000 images |", "1,000 images a second",
    "6 times the memory", "two times slower",
])  # fmt: skip
def test_claims_are_recognised(text: str):
    assert list(claims(f"Before. It is {text}, and after.")) != []


@pytest.mark.parametrize("text", [
    "256x256 pixels", "two CPU cores", "batch 4", "0.86 of the move", "every third time", "at 10 to 20 thousand images",
    "Python 3.11 to 3.13", "the same picture on every call", "64 channels", "a second one", "`--timeout=600 s`",
    "1e-5 of the largest result", "F(4x4, 3x3)", "80 kimg", "5,000 moves", "its 95% interval", "3 times 4 is 12",
    "one centre at a time", "EqGAN-SA, table 2", "level 0, 1 and 2", "FID 5.2", "[-1, 1]",
    "killed 100 times while it writes", "gives three minutes before",
    "with five times as much gamma",
])  # fmt: skip
def test_other_numbers_are_none(text: str):
    assert list(claims(f"Before. It is {text}, and after.")) == []


def test_prose_is_without_code_comments_and_targets():
    text = "One\n\ntwo [three](four/5s.md)<!-- six -->\n```\nseven  # eight\nnine\n```\n"
    assert prose(text) == "One two [three] eight"


@pytest.mark.parametrize("text, says, values, expected", [
    ("takes\n1.05 times as\nlong", "takes {:.2f} times as long", [2.5], "takes\n2.50 times as\nlong"),
    ("1.9 to 2.4 s", "{:.1f} to {:.1f} s", [3.14, 4.0], "3.1 to 4.0 s"),
    ("has 945 MiB.", "has {:.0f} MiB", [1000.4], "has 1000 MiB."),
    ("nothing of it", "takes {:.2f} times", [2.5], "nothing of it"),
])  # fmt: skip
def test_new_values_take_the_places_of_old_ones(text: str, says: str, values: list[float], expected: str):
    assert renewed(text, says, values) == expected


def test_pages_are_renewed_from_steady_reports_alone(project: Path, monkeypatch: pytest.MonkeyPatch):
    report(project, 2.0, quick=True)
    assert renew(project) == []
    report(project, 2.0)
    assert problems(project) != []
    monkeypatch.setattr("benchmarks.harness.report.ROOT", project)
    result = CliRunner().invoke(main, ["--write"])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0] == "README.md: renewed"
    assert (project / "README.md").read_text() == "It is good: ours takes\n2.00 times as long as theirs.\n"
    assert CliRunner().invoke(main, []).exit_code == 0


def test_the_command_names_what_is_wrong(project: Path, monkeypatch: pytest.MonkeyPatch):
    report(project, 2.0)
    monkeypatch.setattr("benchmarks.harness.report.ROOT", project)
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 1
    assert "README.md, 'ours takes {:.2f} times as long as theirs': the page does not say" in result.output


@pytest.mark.parametrize("text, words", [
    ("measured: [", "docs/figures.yaml"),
    ("measured: []", "not_measured: Field required"),
    ("measured: [{in: README.md, says: x}]\nnot_measured: []\nlogs: []", "measured.0.file: Field required"),
    ("measured: []\nnot_measured: [{in: README.md, says: x, why: so}]\nlogs: []", "at least 10 characters"),
])  # fmt: skip
def test_manifests_that_are_none_are_refused(project: Path, text: str, words: str):
    (project / MANIFEST).write_text(text)
    with pytest.raises(UserError, match=r"docs/figures\.yaml") as caught:
        read_manifest(project)
    assert words in str(caught.value)
