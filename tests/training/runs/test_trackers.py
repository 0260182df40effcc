"""Trackers: numbers and pictures reach each by name; what is missing or out of order never ends a run."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dnnlib.errors import UserError
from training.pictures.grids import save_png
from training.runs.log import RunLog
from training.runs.trackers import check_trackers, open_tracker


class StandIn(SimpleNamespace):
    """What wandb and trackio have in common, noted in a list."""

    def __init__(self, fails: bool = False):
        super().__init__(calls=[], fails=fails)

    def init(self, **how):
        self.calls.append(("init", how))
        return self

    def log(self, values, step):
        if self.fails:
            raise RuntimeError("no\nnetwork")
        self.calls.append(("log", values, step))

    def finish(self):
        self.calls.append(("finish",))

    def Image(self, pixels):
        return pixels.shape


@pytest.fixture(params=["wandb", "trackio"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, StandIn]:
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, request.param, stand_in)
    return request.param, stand_in


def test_numbers_and_pictures_arrive(library, tmp_path: Path):
    name, stand_in = library
    save_png(tmp_path / "fakes000001.png", np.zeros([8, 8, 3], np.uint8))
    with RunLog(tmp_path, 20_000, 0, trackers=(name,)) as log:
        log.metric(1000, "di", {"di": -0.5})
        log.pictures(1000, [tmp_path / "fakes000001.png"])
    (_, how), *logged, last = stand_in.calls
    assert (how["project"], how["resume"]) == ("steergan", "allow")
    assert logged == [
        ("log", {"metrics/di": -0.5, "kimg": 1.0}, 1000),
        ("log", {"pictures/fakes": (8, 8, 3)}, 1000),
    ]
    assert last == ("finish",)
    assert not list(tmp_path.glob("events.out.*"))


def test_a_run_that_goes_on_takes_up_its_own_record(library, tmp_path: Path):
    name, stand_in = library
    for _ in range(2):
        open_tracker(name, tmp_path / "run", 0)
    open_tracker(name, tmp_path / "other", 0)
    first, again, other = (how.get("id", how["name"]) for _, how in stand_in.calls)
    assert first == again != other


def test_a_tracker_that_fails_is_said_once_and_ends_nothing(library, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    name, stand_in = library
    stand_in.fails = True
    with RunLog(tmp_path, 20_000, 0, trackers=("tensorboard", name)) as log:
        log.metric(1000, "di", {"di": 1.0})
        log.metric(2000, "di", {"di": 2.0})
    said = (tmp_path / "log.txt").read_text()
    assert said.count("cannot write logs") == 1
    assert "RuntimeError: no network" in said
    assert list(tmp_path.glob("events.out.*"))


def test_none_at_all(tmp_path: Path):
    with RunLog(tmp_path, 20_000, 0, trackers=()) as log:
        log.metric(1000, "di", {"di": 1.0})
    assert not list(tmp_path.glob("events.out.*"))


def test_what_is_unknown_or_missing_is_said_before_training(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match="no 'mlflow'; there are tensorboard, wandb, trackio, or none"):
        check_trackers(("tensorboard", "mlflow"))
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"--log=wandb needs the package wandb; pip install 'steergan\[track\]'"):
        check_trackers(("wandb",))
    check_trackers(("tensorboard",))
