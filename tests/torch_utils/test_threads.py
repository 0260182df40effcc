"""Waiting threads give up their processor on a crowded machine, and only there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from torch_utils import threads
from torch_utils.threads import Crowding, delays, growth, teams_needed, yield_when_crowded

ROOT = Path(__file__).parents[2]
on_linux = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not tell delays")
several = pytest.mark.skipif(threads.processors() < 2, reason="one processor: libgomp never spins")

# Prints how often the team's second thread went to sleep in 300 waits of a millisecond: before idle teams are opened,
# with them, and after they are closed.
WAITS = """
import os, threading, time
import torch
from torch_utils.threads import IdleTeams, processors

torch.set_num_threads(processors())

def sleeps():
    text = "".join(open(f"/proc/self/task/{task}/status").read() for task in team)
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("voluntary"))

def counted():
    before = sleeps()
    for _ in range(300):
        values.fill_(1)
        until = time.perf_counter() + 0.001
        while time.perf_counter() < until:
            pass
    return (sleeps() - before) // len(team)

others = set(os.listdir("/proc/self/task"))
values = torch.zeros(2**18).fill_(1)
team = set(os.listdir("/proc/self/task")) - others
teams = IdleTeams()
print(counted())
teams.open()
time.sleep(0.5)
print(counted())
teams.close()
time.sleep(0.5)
print(counted())
"""


@on_linux
@several
def test_threads_sleep_while_idle_teams_are_kept():
    """What libgomp promises nowhere: that it looks at the number of threads at every wait."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    done = subprocess.run([sys.executable, "-c", WAITS], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, during, after = map(int, done.stdout.split())
    assert during > 200
    assert before < 150
    assert after < 150


@pytest.mark.parametrize("computing, available, teams", [(2, 2, 1), (4, 4, 1), (2, 4, 3), (16, 64, 4), (1, 4, 0)])
def test_as_many_teams_as_make_threads_outnumber_processors(computing, available, teams):
    assert teams_needed(computing, available) == teams
    total = computing + teams * (computing - 1)
    assert computing == 1 or total > available >= total - (computing - 1)


def test_it_takes_longer_to_believe_in_quiet():
    rates = [0.1, 0.9, 0.1, 0.9, 0.9, 0.3, *[0.1] * 4, 0.3, *[0.1] * 5, 0.9]
    crowding = Crowding()
    seen = [crowding.update(rate) for rate in rates]
    assert seen == [False] * 4 + [True] * 11 + [False] * 2


def test_delays_are_read_of_every_thread(tmp_path):
    for name, text in [("10", "5000 1500000000 7"), ("11", "1 2000000000 7"), ("12", "")]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "schedstat").write_text(text)
    assert delays(tmp_path) == {"10": 1.5, "11": 2.0}
    assert growth({"9": 3.0, "10": 1.0}, delays(tmp_path)) == 0.5
    assert delays(tmp_path / "missing") == {}


@on_linux
def test_this_process_has_delays():
    assert str(os.getpid()) in delays()


@pytest.mark.parametrize("setting", threads.SETTINGS)
def test_the_users_own_setting_wins(setting, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(threads, "delays", lambda: {"1": 0.0})
    monkeypatch.setenv(setting, "1")
    assert not yield_when_crowded()


def test_one_thread_waits_for_nobody(monkeypatch):
    for setting in threads.SETTINGS:
        monkeypatch.delenv(setting, raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert not yield_when_crowded()
