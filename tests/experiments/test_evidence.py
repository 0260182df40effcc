"""The list of small runs: what it names exists, and what is done is not done again."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dataset_tool import main as make_data
from dnnlib.errors import UserError
from experiments import evidence
from experiments.evidence import (
    LIST,
    Evidence,
    carry_out,
    chosen,
    main,
    newest_run,
    read_list,
    table,
    trained_run,
    values_of,
)
from tests.experiments.pretending import pretending
from tests.tiny_models import save_tiny_snapshot
from train import main as train_command

RUN = Evidence("one", "critters32", ["toy", "--images=8"], ["--cfg=demo", "--kimg=1"], ["di", "w", "unheard_of"])


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What would have been run; train.py leaves a run directory with a snapshot, calc_metrics.py its lines."""
    seen: list[tuple[str, ...]] = []

    def measure(options: dict[str, str]) -> None:
        for name in options["metrics"].split(","):
            line = {"kimg": 1.0, "results": {name: 0.5, "more": 1.0}}
            (Path(options["network"]) / f"metric-{name}.jsonl").write_text(json.dumps(line) + "\n")

    monkeypatch.setattr(evidence, "command", pretending(seen, measure))
    return seen


@pytest.mark.parametrize("run", read_list(LIST), ids=lambda run: run.name)
@pytest.mark.usefixtures("no_summary")
def test_every_run_of_the_list_is_one_that_train_accepts(run: Evidence, tmp_path: Path):
    data = tmp_path / "data.zip"
    few = [word for word in run.dataset if not word.startswith("--images")]
    made = CliRunner().invoke(make_data, [*few, "--images=4", f"--dest={data}"])
    assert made.exit_code == 0, made.output
    words = [f"--outdir={tmp_path}", f"--data={data}", "--device=cpu", "--metrics=none", "--dry-run", *run.train]
    result = CliRunner().invoke(train_command, words)
    assert result.exit_code == 0, result.output


def test_words_stand_for_others():
    words = {"OLD": "--batch=32 --set 'a=[1, 2]'"}
    assert evidence.spelt_out("--cfg=demo OLD --set 'b=c d'", words) == [
        "--cfg=demo", "--batch=32", "--set", "a=[1, 2]", "--set", "b=c d",
    ]  # fmt: skip


def test_what_is_done_is_not_done_again(commands: list, tmp_path: Path):
    carry_out(RUN, tmp_path, "cpu")
    assert [words[0] for words in commands] == ["dataset_tool.py", "train.py", "calc_metrics.py"]
    assert "--metrics=di,w" in commands[2]  # those there are
    commands.clear()
    carry_out(RUN, tmp_path, "cpu")
    assert [words[0] for words in commands] == ["train.py"]  # which goes on, or says that it is finished


def test_training_gets_the_words_of_the_list(commands: list, tmp_path: Path):
    carry_out(RUN, tmp_path, "cpu")
    assert commands[1][-2:] == ("--cfg=demo", "--kimg=1")
    assert f"--data={tmp_path / 'data' / 'critters32.zip'}" in commands[1]


def test_more_options_win_over_the_lists(commands: list, tmp_path: Path):
    words = [f"--outdir={tmp_path}", "--only=critters-stylegan2", "--device=cpu", "--also=--kimg=2 --set 'a=[1, 2]'"]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert commands[1][-3:] == ("--kimg=2", "--set", "a=[1, 2]")
    refused = CliRunner().invoke(main, [f"--outdir={tmp_path / 'other'}", "--also='a"])
    assert (refused.exit_code, refused.output.strip()) == (2, "Error: --also: No closing quotation: 'a")
    assert not (tmp_path / "other").exists()


def test_table_shows_what_there_is(commands: list, tmp_path: Path):
    carry_out(RUN, tmp_path, "cpu")
    other = Evidence("two", "critters32", [], [], ["di", "locality"])
    assert table([RUN, other], tmp_path).splitlines() == [
        "| run | kimg | di | w | unheard_of | locality |",
        "| --- | --- | --- | --- | --- | --- |",
        "| one | 1 | 0.500 | 0.500 | - | - |",
        "| two | - | - | - | - | - |",
    ]


def test_only_the_last_snapshots_metrics_count(tmp_path: Path):
    lines = [{"kimg": kimg, "results": {"di": value}} for kimg, value in ((1.0, 1), (2.0, 2), (2.0, 3))]
    (tmp_path / "metric-di.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert values_of(tmp_path, "di", 2.0) == {"di": 3}
    assert values_of(tmp_path, "di", 3.0) is None
    assert values_of(tmp_path, "w", 2.0) is None
    assert newest_run(tmp_path) is None


def test_a_training_that_leaves_no_run_is_said(tmp_path: Path):
    with pytest.raises(UserError, match="the training left no run directory here"):
        trained_run(tmp_path)
    (tmp_path / "00000-a").mkdir()
    (tmp_path / "00000-a" / "config.json").write_text("{}")
    save_tiny_snapshot(tmp_path / "00000-a", kimg=1.0)
    assert trained_run(tmp_path) == (tmp_path / "00000-a", 1.0)


def test_a_training_that_was_stopped_is_not_measured(tmp_path: Path):
    (tmp_path / "00000-a").mkdir()
    (tmp_path / "00000-a" / "config.json").write_text('{"schedule": {"total_kimg": 2.0}}')
    save_tiny_snapshot(tmp_path / "00000-a", kimg=1.0)
    with pytest.raises(UserError, match="00000-a: the training was stopped before its 2 kimg; the same command"):
        trained_run(tmp_path)


def test_command_writes_the_table(commands: list, tmp_path: Path):
    result = CliRunner().invoke(main, [f"--outdir={tmp_path}", "--only=critters-stylegan2", "--device=cpu"])
    assert result.exit_code == 0, result.output
    assert "| critters-stylegan2 | 1 | 0.500 | 0.500 |" in result.output
    assert (tmp_path / "table.md").read_text().count("\n") == 2 + len(read_list(LIST))
    shown = CliRunner().invoke(main, [f"--outdir={tmp_path}", "--show"])
    assert "| playrooms-indoor | - |" in shown.output


def test_unknown_names_and_lists_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match="--only 'playrooms-indor' is not in the list; did you mean 'playrooms-indoor'"):
        chosen(read_list(LIST), "playrooms-indor")
    with pytest.raises(UserError, match="cannot read"):
        read_list(tmp_path / "missing.yaml")
    (tmp_path / "bad.yaml").write_text("runs: {a: {data: b}}")
    with pytest.raises(UserError, match="not a list of runs"):
        read_list(tmp_path / "bad.yaml")


def test_a_failing_command_stops_the_list():
    with pytest.raises(UserError, match=r"`python train\.py --nonsense` failed with exit status 2"):
        evidence.command("train.py", "--nonsense")
