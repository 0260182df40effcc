"""Work that fails on one of several ranks: none waits for it, and all go on. This starts real processes."""

import json

import pytest

from tests.torch_utils import ranks
from torch_utils.agreement import together
from torch_utils.distributed import World
from torch_utils.launch import launch

SAID = {
    "sound": "",
    "first exchange": "on rank 1: ZeroDivisionError('a bug')",
    "second exchange": "on rank 1: b.png is damaged",
    "end": "on rank 1: not enough memory; use smaller batches, networks or pictures",
    "on rank 0": "on rank 0: KeyError('k')",
    "first": "on rank 0: ZeroDivisionError('a bug')",
    "refused": "no",
    "astray": "the ranks have come to different places",
    "deaf": "on rank 1: ValueError('x')",
}


def test_all_ranks_leave_what_one_fails_at(tmp_path):
    launch(ranks.agree, 2, "cpu", tmp_path)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second == SAID


def test_a_single_process_has_its_own_error():
    assert together(World(), lambda world: world.size) == 1
    with pytest.raises(ZeroDivisionError):
        together(World(), lambda world: 1 // 0)
