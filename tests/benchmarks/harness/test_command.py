"""The options that all benchmarks have, what becomes of them, and refusals of bad ones in a line."""

import json
import re
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner, Result

from benchmarks import checkpoint, crash, data, inference, metrics, ops, profile, train_step
from benchmarks.harness.command import benchmark
from benchmarks.harness.report import read_report
from benchmarks.harness.run import Findings, Run
from benchmarks.harness.series import Series
from dnnlib.errors import UserError

ALL = {
    "checkpoint": checkpoint, "crash": crash, "data": data, "inference": inference, "metrics": metrics, "ops": ops,
    "profile": profile, "train_step": train_step,
}  # fmt: skip
MACHINE_PATH = re.compile(r'"/')


class Constant:
    """Takes a second for everything."""

    parts = {"x": None, "y": None}

    def seconds(self, part: str) -> float:
        return 1.0


@benchmark()
@click.option("--size", default=3, help="Of something.")
@click.option("--folder", type=click.Path(path_type=Path))
@click.option("--fail", is_flag=True)
def example(run: Run, size: int, folder: Path | None, fail: bool) -> Findings:
    """Measure nothing."""
    if size == 0:
        raise UserError("--size 0: there is nothing to measure")
    run.begin()
    samples = run.take_turns({"A": Constant(), "B": Constant()})
    series = {name: {part: Series.of("s", values) for part, values in parts.items()} for name, parts in samples.items()}
    return Findings(series, [("A", "B")], {"bytes": 7}, ["more to read"], "it did not work" if fail else None)


def run(*arguments: str, program: click.Command = example) -> Result:
    return CliRunner().invoke(program, ["--device=cpu", *arguments])


def test_report_and_what_is_printed(tmp_path: Path):
    path = tmp_path / "new" / "report.json"
    result = run("--size=4", f"--folder={tmp_path}", f"--json={path}")
    assert result.exit_code == 0, result.output
    report = read_report(path)
    assert (report.benchmark, report.rounds, report.quick, report.steady) == ("test_command", 5, False, True)
    assert report.settings == {"size": 4, "fail": False, "device": "cpu"}
    assert report.facts == {"bytes": 7}
    assert report.ratios["A to B"]["y"].samples == [1.0] * 5
    assert report.commit is not None
    expected = f"python -m benchmarks.test_command --device=cpu --size=4 --folder={tmp_path.name} --json=report.json"
    assert report.command == expected
    assert not MACHINE_PATH.search(path.read_text())
    lines = result.output.splitlines()
    assert lines[0].startswith("rounds 5  size 4  fail False  cpu ")
    assert lines[-3:] == ["more to read", "the machine's convolution rate: 100 GFLOP/s before, 100 after",
                          "steady: 5 rounds"]  # fmt: skip


def test_quick_is_marked_and_not_to_be_cited(tmp_path: Path):
    path = tmp_path / "report.json"
    result = run("--quick", f"--json={path}")
    assert result.exit_code == 0, result.output
    report = json.loads(path.read_text())
    assert (report["quick"], report["rounds"], report["verdict"]["steady"]) == (True, 2, False)
    assert "not steady, not to be cited: --quick, 2 rounds" in result.output


@pytest.mark.parametrize("arguments, turns", [(["--rounds=7"], 2 + 7), (["--quick"], 1 + 2), ([], 2 + 5)])
def test_rounds_and_those_that_do_not_count(monkeypatch: pytest.MonkeyPatch, arguments: list[str], turns: int):
    calls = []
    monkeypatch.setattr(Constant, "seconds", lambda self, part: calls.append(part) or 1.0)
    assert run(*arguments).exit_code == 0
    assert len(calls) == turns * 4


def test_progress_is_shown_from_the_first_step_and_stays_out_of_what_is_printed():
    result = CliRunner().invoke(example, ["--device=cpu"])
    assert result.stderr == "test_command: 0 of 1 step, 0 s; the machine's convolution rate\n"
    assert "steps" not in result.stdout


def test_threads_are_those_asked_for(tmp_path: Path):
    before = torch.get_num_threads()
    try:
        assert run("--threads=2", f"--json={tmp_path / 'a.json'}").exit_code == 0
        assert read_report(tmp_path / "a.json").machine.threads == 2
    finally:
        torch.set_num_threads(before)


def test_a_failure_is_said_after_the_report_was_written(tmp_path: Path):
    result = run("--fail", f"--json={tmp_path / 'a.json'}")
    assert result.exit_code == 1
    assert result.stderr.endswith("it did not work\n")
    assert read_report(tmp_path / "a.json").rounds == 5


def bad_options(folder: Path) -> dict[str, str]:
    """{option: what the refusal says} of what all benchmarks have."""
    (folder / "file").write_text("")
    return {
        "--threads=0": "0 is out of range",
        "--threads=many": "is no finite whole number",
        "--threads=1000000000": "1000000000 is out of range",
        f"--json={folder}": "is a directory",
        "--json=": "a path is empty",
        f"--json={folder}/file/a.json": "cannot write to directory",
        "--unheard-of=1": "No such option",
    }


@pytest.mark.parametrize("name", ALL)
def test_every_benchmark_has_the_common_options_and_refuses_bad_ones_in_a_line(name: str, tmp_path: Path):
    program = ALL[name].main
    rounds = "--kills" if name == "crash" else "--rounds"
    options = {option for parameter in program.params for option in parameter.opts}
    assert {rounds, "--quick", "--threads", "--json"} <= options
    assert ("--device" in options) == (name != "crash")
    bad = bad_options(tmp_path) | {f"{rounds}=0": "0 is out of range", f"{rounds}=nan": "is no finite whole number"}
    bad |= {f"{rounds}=1{'0' * 5000}": "is no finite whole number"}
    for option, text in bad.items():
        assert_one_line(CliRunner().invoke(program, [option]), text)
    assert_one_line(CliRunner().invoke(program, ["--quick", f"{rounds}=9"]), f"leave it or {rounds} out")


@pytest.mark.parametrize("name", [name for name in ALL if name != "crash"])
@pytest.mark.parametrize("device, text", [("gpu", "use auto, cpu or cuda"), ("cuda:77", "not available here")])
def test_devices_that_are_none_are_refused(name: str, device: str, text: str):
    assert_one_line(CliRunner().invoke(ALL[name].main, [f"--device={device}"]), text)


def test_what_the_benchmark_itself_refuses_is_one_line_and_no_report(tmp_path: Path):
    assert_one_line(run("--size=0", f"--json={tmp_path / 'a.json'}"), "there is nothing to measure")
    assert not (tmp_path / "a.json").exists()


def assert_one_line(result: Result, text: str) -> None:
    assert result.exit_code == 2, result.output
    assert text in result.output
    assert result.output.count("\n") == 1
