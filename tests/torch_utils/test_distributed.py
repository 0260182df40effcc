"""Several processes: what they exchange, and how a failure of one ends all. These start real processes."""

import json
import os
import signal
import time
from types import SimpleNamespace

import pytest
import torch

from dnnlib.errors import UserError
from dnnlib.files import write_json
from tests.torch_utils import ranks
from torch_utils.distributed import World, current, is_launched
from torch_utils.launch import _explain, _read_reports, launch


def test_a_world_of_one_leaves_everything_alone():
    world, x = current(), torch.tensor([1.0, 2.0])
    world.mean_([x])
    world.reduce_([x], "max")
    assert world == World()
    assert world.is_first
    assert not is_launched()
    assert x.tolist() == [1.0, 2.0]
    assert world.gather_rows(x) is x
    assert world.mean(x) is x
    assert world.share("a") == "a"
    assert world.first(lambda: 3) == 3
    with pytest.raises(UserError, match="no"):
        world.first(ranks._refuse)


def test_one_process_runs_here():
    seen = []
    launch(seen.append, 1, "cpu", 7)
    assert seen == [7]


def test_a_report_that_was_not_finished_is_none(tmp_path):
    """A process that is ended while it writes leaves the temporary file alone."""
    (tmp_path / ".1.a1b2c3d4.json").write_text("")
    write_json(tmp_path / "0.json", {"rank": "0", "lost_peer": True, "time": 1})
    assert [note["rank"] for note in _read_reports(tmp_path)] == ["0"]


@pytest.mark.parametrize(
    ("waited", "text"), [(True, "waited in vain 1:00:00 for another one, which hangs"), (False, "lost another one")]
)
def test_a_rank_that_hangs_is_called_so(waited: bool, text: str, capsys):
    note = {"time": 1, "rank": "0", "lost_peer": True, "waited": waited, "user_error": None, "traceback": "where"}
    with pytest.raises(SystemExit):
        _explain({}, [note])
    assert capsys.readouterr().err.startswith(f"rank 0 {text}")


def test_a_signal_before_processes_listen_is_called_so(capsys):
    failures = {0: SimpleNamespace(exitcode=-15), 1: SimpleNamespace(exitcode=1)}
    with pytest.raises(SystemExit) as caught:
        _explain(failures, [], signal.SIGTERM)
    assert caught.value.code == 143
    assert capsys.readouterr().err == "stopped by SIGTERM before there was anything to save\n"


def test_more_processes_than_a_machine_can_hold_are_refused():
    most = 8 * os.cpu_count()
    line = f"{most + 1} processes are too many for the {os.cpu_count()} processors here; at most {most}"
    with pytest.raises(UserError, match=line):
        launch(print, most + 1, "cpu")


def test_two_ranks_exchange(tmp_path):
    launch(ranks.exchange, 2, "cpu", tmp_path)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert (first["rank"], second["rank"], first["size"]) == (0, 1, 2)
    for each in (first, second):
        assert each["mean"] == [0.5, 0.5, 5.0]
        assert each["min"] == 2.0
        assert each["rows"] == [[0, 0], [1, 1], [1, 1]]
        assert each["shared"] == {"from": 0}
        assert each["first"] == 0
        assert each["refused"] == "no"
        assert each["gradient"] == pytest.approx((2 + 3) / 2)  # both ranks' losses reach both ranks' x
        assert each["threads"] >= 1


def test_a_rank_that_refuses_ends_all_with_its_own_message():
    start = time.monotonic()
    with pytest.raises(UserError, match="rank 1 found no data"):
        launch(ranks.fail, 2, "cpu", "user")
    assert time.monotonic() - start < 60, "the other rank was waited for"


@pytest.mark.parametrize(
    "how, text", [("bug", "rank 1 failed first:\nTraceback"), ("kill", "rank 1 was killed by SIGKILL")]
)
def test_the_first_failure_is_shown(how, text, capfd):
    with pytest.raises(SystemExit) as caught:
        launch(ranks.fail, 2, "cpu", how)
    assert caught.value.code == 1
    assert text in capfd.readouterr().err
