"""docs/reproduce.md: complete, up to date, and with costs only where somebody measured them."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.harness.report import Report, write_report
from benchmarks.measures.train_step import TRAINING_IMAGE
from experiments.reproduce import NOT_MEASURED, PAGE, RESULTS, gpu_hours, main, page, read_reports
from tests.benchmarks.reports import around, make_report
from training.presets.tables import rows

ROWS = list(rows().values())


def row(name: str):
    return next(one for one in ROWS if one.name == name)


def report(gpu: str | None = "some GPU", ops: str = "auto", year: int = 2025, **seconds: float) -> Report:
    """As benchmarks.train_step writes it, of paper256 at 256x256."""
    methods = {name.replace("_", "-"): value for name, value in seconds.items()}
    return make_report(
        {name: {TRAINING_IMAGE: around(value)} for name, value in methods.items()},
        gpu=gpu,
        date=datetime(year, 1, 1, tzinfo=UTC),
        facts={"methods": {name: {"method": name, "ops": ops} for name in methods}},
    )


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(ROWS, read_reports(RESULTS))


def test_every_row_is_on_the_page_in_the_papers_order():
    text = page(ROWS, [])
    assert [one.name for one in ROWS if f"--method={one.name}`" not in text] == []
    assert len(ROWS) == 53 + 11  # and those of EqGAN-SA that have a text of their own
    first = "EqGAN-SA, table 1"
    assert [one.label for one in ROWS if one.table == first] == ["Baseline", "+ SEL", "+ L_align"]
    sel = next(line for line in text.splitlines() if "eqgan-1-sel" in line)
    assert sel.startswith("| + SEL | `--cfg=paper256 --method=eqgan-1-sel` | 7.82 | 3.12 | 3.39 | 1.38 | 3.55 | 2.59 |")


def test_nothing_measured_is_said_so():
    assert page(ROWS, []).count(NOT_MEASURED) == len(ROWS) + 1  # and once in the introduction


def test_cost_is_seconds_per_image_times_the_images_of_the_run():
    hours = gpu_hours(row("spatialgan-4-hierarchical"), [report(spatialgan=0.036, stylegan2=0.018)])
    assert hours == pytest.approx(0.036 * 25e6 / 3600)
    assert gpu_hours(row("spatialgan-3-baseline"), [report(stylegan2=0.018)]) == pytest.approx(125)


def test_newest_report_counts_and_other_designs_and_machines_do_not():
    found = [report(year=2026, stylegan2=0.036), report(year=2025, stylegan2=0.018)]
    assert gpu_hours(row("spatialgan-3-baseline"), found) == pytest.approx(250)
    assert gpu_hours(row("spatialgan-3-baseline"), [report(ops="reference", stylegan2=0.018)]) is None
    assert gpu_hours(row("eqgan-4-flatten"), [report(eqgan_sa=0.05)]) is None
    assert gpu_hours(row("spatialgan-3-baseline"), [report(None, stylegan2=0.018)]) is None
    elsewhere = report(stylegan2=0.018).model_copy(update={"settings": {"cfg": "demo", "res": 32}})
    assert gpu_hours(row("spatialgan-3-baseline"), [elsewhere]) is None


def test_the_command_writes_the_page(tmp_path: Path):
    (tmp_path / "results").mkdir()
    results = tmp_path / "results"
    write_report(results / "a.json", report(stylegan2=0.018))
    write_report(results / "profile.json", make_report({}, benchmark="profile"))
    write_report(results / "quick.json", make_report({}, quick=True, date=datetime(2026, 1, 1, tzinfo=UTC)))
    written = tmp_path / "page.md"
    result = CliRunner().invoke(main, ["--results", str(tmp_path / "results"), "--page", str(written)])
    assert result.exit_code == 0, result.output
    line = next(line for line in written.read_text().splitlines() if "--method=spatialgan-3-baseline`" in line)
    assert line.endswith("| 125 |")


def test_empty_cells_where_a_row_has_no_number():
    one = replace(row("spatialgan-3-bedroom"), paper={"FFHQ": {"FID": 1.5}})
    other = replace(row("spatialgan-3-baseline"), paper={"LSUN Cat": {"FID": 2.5}})
    lines = page([one, other], []).splitlines()
    assert f"| 1.5 |  | {NOT_MEASURED} |" in next(line for line in lines if one.name in line)
