"""The benchmark of crashes: what counts as a write cut off, what the report says, and when it fails."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.crash import main
from benchmarks.harness.report import read_report
from benchmarks.measures import crash
from benchmarks.measures.crash import Kill, Plan, different_tensors, failure, findings, half_written, lines
from dnnlib.errors import UserError
from tests.benchmarks.harness.test_command import assert_one_line

PLAN = Plan(longest=1.0, steps_between=4, wait_every=3, seed=0)


def test_what_earlier_crashes_left_is_not_being_written(tmp_path):
    (tmp_path / ".checkpoint-0000000032.abc.safetensors").write_bytes(b"")
    (tmp_path / "checkpoint-0000000032.safetensors").write_bytes(b"")
    leftovers = half_written(tmp_path)
    assert leftovers == {".checkpoint-0000000032.abc.safetensors"}
    assert half_written(tmp_path, leftovers) == set()
    (tmp_path / ".checkpoint-0000000064.def.safetensors").write_bytes(b"")
    assert half_written(tmp_path, leftovers) == {".checkpoint-0000000064.def.safetensors"}


class Child:
    """Stands in for a process that writes a checkpoint, or not, until it is killed."""

    pid = 1

    def __init__(self, target, args):
        self.run_dir, self.images = args[1], args[2]

    def start(self):
        self.images.value = 80

    def is_alive(self):
        return True

    def join(self):
        pass


class Writing(Child):
    def start(self):
        super().start()
        (self.run_dir / ".checkpoint-0000000080.new.safetensors").write_bytes(b"")


@pytest.mark.parametrize("child, writing", [(Child, False), (Writing, True)])
@pytest.mark.parametrize("wait_for_write", [False, True])
def test_a_crash_hits_a_write_only_when_its_own_process_was_writing(
    tmp_path, monkeypatch, child, writing, wait_for_write
):
    """Files of crashes before are there in either case."""
    (tmp_path / ".checkpoint-0000000032.old.safetensors").write_bytes(b"")
    killed = []
    monkeypatch.setattr(crash.FORK, "Process", child)
    monkeypatch.setattr(crash.os, "kill", lambda pid, number: killed.append(number))
    monkeypatch.setattr(crash.os, "waitid", lambda *_: None)
    kill = crash.crash(None, tmp_path, random.Random(1), 0.05, wait_for_write)  # the first write
    assert kill == Kill(trained=80, kept=0, writing=writing)
    assert kill.lost_steps == 10
    assert killed == [crash.signal.SIGSTOP] * (wait_for_write and writing) + [crash.signal.SIGKILL]


def test_a_process_that_has_ended_its_write_when_it_is_halted_goes_on(tmp_path):
    process = subprocess.Popen(["sleep", "60"])
    try:
        assert not crash.is_halted_in_write(process.pid, tmp_path, ())
        (tmp_path / ".checkpoint-0000000064.def.safetensors").write_bytes(b"")
        assert state_of(process.pid) != "T"
        assert crash.is_halted_in_write(process.pid, tmp_path, ())
        assert state_of(process.pid) == "T"
    finally:
        process.kill()
        process.wait()


def state_of(pid: int) -> str:
    """A letter; T is halted."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_the_report_counts_what_happened():
    kills = [Kill(80, 64, True), Kill(120, 120, False), Kill(200, 160, False)]
    report = findings(kills, PLAN, [], [])
    lost = report.series["crashes"]["lost"]
    assert (lost.samples, lost.median, lost.judged) == ([2, 0, 5], 2, False)
    assert report.facts == {
        "kills": 3, "recovered": 3, "while_writing": 1, "steps_between_checkpoints": 4, "median_steps_lost": 2,
        "most_steps_lost": 5, "images_trained": 160, "tensors_that_differ": [], "files_left": [],
    }  # fmt: skip
    assert report.failure is None
    assert lines(report.facts)[0] == (
        "3 of 3 kills were recovered from (1 while one was being written); checkpoints every 4 steps, "
        "at most 5 lost"
    )


@pytest.mark.parametrize("kills, different, left, words", [
    ([Kill(80, 64, True), None], [], [], "ended unasked: 1 run"),
    ([None], [], [], "ended unasked: 1 run"),
    ([Kill(80, 0, True)], [], [], "lost: 10 steps"),
    ([Kill(80, 64, True)], ["G.w"], [], "tensors differ from the undisturbed run's: 1"),
    ([Kill(80, 64, True)], [], [".a", ".b"], "unfinished files that no restart removed: 2"),
])  # fmt: skip
def test_what_should_not_have_happened_is_said(kills, different, left, words):
    report = findings(kills, PLAN, different, left)
    assert report.failure == words == failure(report.facts)


def test_a_run_without_a_checkpoint_is_said(tmp_path):
    for name in ("crashed", "undisturbed"):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="the crashed run ended without a checkpoint that can be read"):
        different_tensors(tmp_path / "crashed", tmp_path / "undisturbed")


@pytest.mark.slow
def test_kills_while_a_checkpoint_is_written(tmp_path):
    """Real crashes: each of them cuts a write off, and no more is lost than the steps since the last checkpoint."""
    path = tmp_path / "crash.json"
    options = ["--kills=5", "--wait-every=1", "--longest=60", f"--json={path}"]
    done = subprocess.run([sys.executable, "-m", "benchmarks.crash", *options], capture_output=True, check=False)
    assert path.exists(), done.stderr
    report = read_report(path)
    facts = report.facts
    assert (facts["kills"], facts["recovered"], facts["tensors_that_differ"]) == (5, 5, [])
    assert facts["while_writing"] == 5
    assert facts["most_steps_lost"] <= 8
    assert report.steady


@pytest.mark.parametrize("arguments, text", [
    (["--longest=nan"], "nan"),
    (["--longest=inf"], "no finite number"),
    (["--longest=0"], "out of range"),
    (["--wait-every=0"], "out of range"),
    (["--steps-between=0"], "out of range"),
    (["--kills=1000000"], "out of range"),
])
def test_refusals(arguments, text):
    assert_one_line(CliRunner().invoke(main, arguments), text)
