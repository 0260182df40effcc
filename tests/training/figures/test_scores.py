"""Score curves of runs."""

import pytest
from PIL import Image

from dnnlib.errors import UserError
from tests.training.figures.runs import write_scores
from training.figures.scores import read_scores, running_mean, save_scores


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    write_scores(folder, ticks=3)
    return folder


def test_scores_are_read_by_tick(run):
    assert read_scores(run) == ([1, 2, 3], [-1, -2, -3], [1, 2, 3])


def test_runs_are_drawn_into_one_picture(run, tmp_path):
    one = save_scores(tmp_path / "one.png", [run], ["ours"])
    two = save_scores(tmp_path / "two.png", [run, run], ["ours", "baseline"])
    with Image.open(one) as first, Image.open(two) as second:
        assert first.size == second.size
        assert first.tobytes() != second.tobytes()


def test_a_folder_without_scores_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no scores in stats.jsonl; give a directory that train.py wrote"):
        save_scores(tmp_path / "none.png", [tmp_path], ["x"])
    assert not (tmp_path / "none.png").exists()


def test_running_mean_is_centred_and_keeps_the_ends():
    assert running_mean([0, 3, 6, 9, 0], 3) == [0, 3, 6, 5, 0]
    assert running_mean([1, 2], 9) == [1, 2]
