"""Run directories: numbered, continued by the same configuration, never mixed up with another's."""

import os
from pathlib import Path

import pytest

from dnnlib.errors import UserError
from dnnlib.json_files import read_json
from tests.tiny_models import tiny_config
from tests.training.saved import save_checkpoint
from torch_utils.distributed import World
from training.config import RunConfig
from training.runs.checkpoint import checkpoint_path
from training.runs.directory import Progress, RunDir, create, find
from training.state import TrainingState

CONFIG = tiny_config().model_copy(update={"name": "animals-demo"})
OTHER = CONFIG.model_copy(update={"seed": 1})


def make(outdir: Path, config: RunConfig = CONFIG, kimg: float | None = None) -> Path:
    """A run as training leaves it, with a checkpoint after `kimg`."""
    path = create(find(outdir, config, new=True), config)
    if kimg is not None:
        state = TrainingState.create(config, World())
        state.images = round(kimg * 1000)
        save_checkpoint(checkpoint_path(path, state.images), config, state)
    return path


def refusal(*arguments, **named) -> str:
    with pytest.raises(UserError) as caught:
        find(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_find_writes_nothing(tmp_path: Path):
    assert find(tmp_path / "runs", CONFIG) == RunDir(tmp_path / "runs" / "00000-animals-demo", Progress.NEW)
    assert list(tmp_path.iterdir()) == []


def test_create_makes_the_directory_with_its_configuration(tmp_path: Path):
    path = create(find(tmp_path / "deep" / "runs", CONFIG), CONFIG)
    assert [file.name for file in path.iterdir()] == ["config.json"]
    assert RunConfig.model_validate(read_json(path / "config.json")) == CONFIG


def test_numbers_go_on_after_the_highest(tmp_path: Path):
    for name in ("00003-other", "00007", "12-short", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "00009-file").write_text("")
    assert find(tmp_path, CONFIG).path.name == "00008-animals-demo"


def test_the_same_configuration_goes_on_where_it_was(tmp_path: Path):
    path = make(tmp_path)
    assert find(tmp_path, CONFIG) == RunDir(path, Progress.STARTED)
    assert create(find(tmp_path, CONFIG), CONFIG) == path
    assert len(list(tmp_path.iterdir())) == 1


def test_another_configuration_gets_a_directory_of_its_own(tmp_path: Path):
    make(tmp_path)
    assert find(tmp_path, OTHER) == RunDir(tmp_path / "00001-animals-demo", Progress.NEW)


def test_a_run_is_found_again_behind_others(tmp_path: Path):
    first = make(tmp_path)
    make(tmp_path, OTHER)
    (tmp_path / "00002-not-a-run").mkdir()
    (tmp_path / "00003-damaged").mkdir()
    (tmp_path / "00003-damaged" / "config.json").write_text("{")
    assert find(tmp_path, CONFIG) == RunDir(first, Progress.STARTED)


def test_new_begins_anew_and_the_newest_is_continued(tmp_path: Path):
    make(tmp_path)
    second = make(tmp_path)
    assert second.name == "00001-animals-demo"
    assert find(tmp_path, CONFIG).path == second
    assert find(tmp_path, CONFIG, new=True) == RunDir(tmp_path / "00002-animals-demo", Progress.NEW)


@pytest.mark.parametrize(
    "kimg, progress", [(0.5, Progress.STARTED), (24999.9, Progress.STARTED), (25000.0, Progress.FINISHED)]
)
def test_progress_is_that_of_the_checkpoint(tmp_path: Path, kimg: float, progress: Progress):
    path = make(tmp_path, kimg=kimg)
    assert find(tmp_path, CONFIG) == RunDir(path, progress)
    assert find(path, CONFIG) == RunDir(path, progress)


def test_a_run_whose_last_checkpoint_is_damaged_is_not_finished(tmp_path: Path):
    """Its header can be read, its numbers are wrong: the run goes on from the checkpoint before."""
    path = make(tmp_path, kimg=25000.0)
    (checkpoint,) = path.glob("checkpoint-*.safetensors")
    data = bytearray(checkpoint.read_bytes())
    data[-1] ^= 1
    checkpoint.write_bytes(data)
    assert find(tmp_path, CONFIG) == RunDir(path, Progress.STARTED)


def test_outdir_may_be_the_run_itself(tmp_path: Path):
    path = make(tmp_path)
    assert find(path, CONFIG) == RunDir(path, Progress.STARTED)


def test_outdir_being_another_run_is_refused_with_the_difference(tmp_path: Path):
    path = make(tmp_path)
    renamed = OTHER.model_copy(update={"name": "animals-seed1"})
    assert refusal(path, renamed) == (
        f"{path} is a run with other settings (seed is 0 there, 1 here); "
        "give those, --continue to change the length of the run only, or the directory above it for a new run"
    )
    assert "is a run directory; for a new run give the directory above it" in refusal(path, CONFIG, new=True)


def test_a_section_that_is_off_in_one_run_is_a_difference(tmp_path: Path):
    path = make(tmp_path)
    plain = CONFIG.model_copy(update={"generator": CONFIG.generator.model_copy(update={"encoding": None})})
    assert "generator.encoding" in refusal(path, plain)


def test_outdir_with_a_configuration_of_something_else_is_refused(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    assert "is no configuration of this version" in refusal(tmp_path, CONFIG)


@pytest.mark.parametrize("below", [".", "runs", "deep/runs"])
def test_outdir_in_a_file_is_refused(tmp_path: Path, below: str):
    (tmp_path / "file").write_text("")
    line = refusal(tmp_path / "file" / below, CONFIG)
    assert line.startswith("cannot make directory ")
    assert line.endswith("file is a file; choose another --outdir")


def test_outdir_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # root may write where permissions forbid it
    line = refusal(tmp_path / "deep" / "runs", CONFIG)
    assert line == f"cannot write to directory {tmp_path}; choose another --outdir"


def test_two_runs_never_share_a_new_directory(tmp_path: Path):
    first, second = find(tmp_path, CONFIG), find(tmp_path, OTHER)
    create(first, CONFIG)
    with pytest.raises(UserError, match="has been made by another run this moment; give the command again"):
        create(second, OTHER)
    assert RunConfig.model_validate(read_json(first.path / "config.json")) == CONFIG
