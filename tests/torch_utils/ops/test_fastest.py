"""What is measured once stays: in the file, for every process, on one machine."""

import json
import multiprocessing
import time
from pathlib import Path

import pytest

from dnnlib.cache import cache_dir
from torch_utils.native import loader
from torch_utils.ops import fastest

SLOW = 0.004  # seconds of work
BUILD = "cpu-of-a-test"


@pytest.fixture(autouse=True)
def nothing_decided(monkeypatch, tmp_path):
    """A cache of the test's own, and nothing known in this process."""
    monkeypatch.setenv("STEERGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(loader._folders, "cpu", Path("/nowhere", BUILD))
    monkeypatch.setattr(fastest, "_decided", {})


def file() -> Path:
    return cache_dir() / "native" / BUILD / fastest.FILE


class Contest:
    """Two ways that keep the processor busy for so many seconds; counts how often they were made."""

    def __init__(self, first: float, second: float):
        self.seconds, self.made = (first, second), 0

    def __call__(self):
        self.made += 1
        return tuple(lambda duration=duration: _work(duration) for duration in self.seconds)


def _work(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@pytest.mark.parametrize("first, second, expected", [(0.0, SLOW, True), (SLOW, 0.0, False), (SLOW, SLOW, False)])
def test_the_first_way_wins_where_it_is_clearly_faster(first, second, expected):
    assert fastest.wins("work", Contest(first, second)) is expected


def test_what_was_measured_is_kept_for_other_processes(monkeypatch):
    contest = Contest(0.0, SLOW)
    assert fastest.wins("work", contest)
    monkeypatch.setattr(fastest, "_decided", {})
    contest.seconds = contest.seconds[::-1]
    assert fastest.wins("work", contest)
    assert contest.made == 1
    figures = json.loads(file().read_text())[fastest.instructions()]["work"]
    assert figures["usual_ms"] >= SLOW * 1e3 > figures["ms"]


def test_other_instructions_are_measured_by_themselves(monkeypatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    assert fastest.wins("work", Contest(0.0, SLOW))
    with monkeypatch.context() as held_down:
        held_down.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
        assert not fastest.wins("work", Contest(SLOW, 0.0))
    assert fastest.wins("work", Contest(SLOW, 0.0))
    assert len(json.loads(file().read_text())) == 2


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "3",
        '{"%s": 3}',
        '{"%s": {"work": []}}',
        '{"%s": {"work": {"ms": 1.0}}}',
        '{"%s": {"work": {"ms": "1", "usual_ms": 0.1}}}',
        '{"%s": {"work": {"ms": 1.0, "usual_ms": -1.0}}}',
        '{"%s": {"work": {"ms": 1e999, "usual_ms": 1.0}}}',
    ],
)
def test_a_damaged_file_is_measured_again_and_replaced(content):
    file().parent.mkdir(parents=True)
    file().write_text(content.replace("%s", fastest.instructions()))
    assert fastest.wins("work", Contest(0.0, SLOW))
    assert set(json.loads(file().read_text())[fastest.instructions()]["work"]) == {"ms", "usual_ms"}


def test_what_is_kept_of_others_stays():
    file().parent.mkdir(parents=True)
    other = {"other processor": {"work": {"ms": 1.0, "usual_ms": 2.0}}}
    here = {fastest.instructions(): {"walk": {"ms": 3.0, "usual_ms": 2.0}}}
    file().write_text(json.dumps(other | here))
    assert fastest.wins("work", Contest(0.0, SLOW))
    assert not fastest.wins("walk", Contest(0.0, SLOW))
    assert json.loads(file().read_text())["other processor"] == other["other processor"]


def test_without_a_place_to_keep_it_nothing_is_measured(monkeypatch, tmp_path):
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("STEERGAN_CACHE", str(tmp_path / "taken"))
    contest = Contest(SLOW, 0.0)
    assert fastest.wins("work", contest)
    assert contest.made == 0


def _decide(results) -> None:
    contest = Contest(0.0, SLOW)
    results.put((fastest.wins("work", contest), contest.made))


def test_of_several_processes_one_measures():
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    processes = [context.Process(target=_decide, args=(results,)) for _ in range(4)]
    for process in processes:
        process.start()
    answers = [results.get() for _ in processes]
    for process in processes:
        process.join()
    assert [answer for answer, _ in answers] == [True] * 4
    assert sum(made for _, made in answers) == 1
