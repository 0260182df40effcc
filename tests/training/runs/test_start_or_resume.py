"""What a run goes on from: the newest checkpoint that is whole, said in words; never from 0 without being asked."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from dnnlib.errors import UserError
from tests.training.data_samples import picture, write_folder, write_zip
from tests.training.test_loop import configuration, train
from torch_utils.distributed import World
from training.config import RunConfig
from training.loop import Run
from training.runs import directory as run_dir
from training.runs.checkpoint import checkpoint_path, checkpoints, latest_checkpoint
from training.runs.directory import Progress
from training.runs.snapshot import open_snapshot
from training.state import TrainingState


@pytest.fixture(scope="module", autouse=True)
def no_pictures():
    """Sample pictures take longer than all these trainings."""
    with patch.object(Run, "save_pictures", lambda run, reals=False: None):
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_zip(tmp_path_factory.mktemp("data") / "noise.zip", pictures(24))


def pictures(count: int, mode: str = "RGB") -> dict[str, Image.Image]:
    return {f"{number:02d}.png": picture(number, 32).convert(mode) for number in range(count)}


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory) -> Path:
    """A run of 32 images with checkpoints after 16 and 32."""
    return train(configuration(data, 0.032, "stylegan2"), tmp_path_factory.mktemp("run"))


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def go_on(run: Path, data: Path, kimg: float = 0.048, **changes) -> str:
    """Go on; returns what log.txt says of it."""
    before = (run / "log.txt").read_text() if (run / "log.txt").exists() else ""
    train(configuration(data, kimg, "stylegan2", **changes), run)
    return (run / "log.txt").read_text()[len(before) :]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


def refused(run: Path, data: Path, **changes) -> str:
    """The line of the refusal; everything is as it was."""
    before = contents(run)
    with pytest.raises(UserError) as caught:
        train(configuration(data, 0.048, "stylegan2", **changes), run)
    assert contents(run) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def flip_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x10
    path.write_bytes(data)


def other_version(path: Path) -> None:
    save_file({"x": torch.zeros(1)}, path, {"steergan-checkpoint": '{"version": 1}'})


# ---- checkpoints


@pytest.mark.parametrize("damage", [cut, flip_last_byte, other_version])
def test_a_checkpoint_that_cannot_be_read_is_passed_over_and_said(run: Path, data: Path, damage):
    newest = checkpoint_path(run, 32)
    damage(newest)
    log = go_on(run, data)
    assert f"passed over: {newest}: " in log
    assert "continuing from checkpoint-0000000016.safetensors at 0.016 kimg" in log
    assert [path.name for path in checkpoints(run)] == [f"checkpoint-{images:010d}.safetensors" for images in (48, 32)]
    assert latest_checkpoint(run) == checkpoint_path(run, 48)


def test_going_on_from_the_one_before_is_the_undisturbed_run(run: Path, data: Path, tmp_path: Path):
    whole = train(configuration(data, 0.048, "stylegan2"), tmp_path / "whole")
    cut(checkpoint_path(run, 32))
    go_on(run, data)
    a, b = (load_file(latest_checkpoint(path)) for path in (whole, run))
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


@pytest.mark.parametrize("damage", [cut, flip_last_byte, other_version])
def test_without_a_readable_checkpoint_nothing_is_touched(run: Path, data: Path, damage):
    for path in checkpoints(run):
        damage(path)
    line = refused(run, data)
    assert line.startswith(f"{run}: none of its 2 checkpoints can be read, and nothing was changed (")
    assert "begin anew with --new" in line


def test_nor_does_the_command_line_plan_to_begin_anew(run: Path, data: Path):
    for path in checkpoints(run):
        cut(path)
    with pytest.raises(UserError, match="none of its 2 checkpoints can be read"):
        run_dir.find(run, configuration(data, 0.032, "stylegan2"))


def test_a_run_whose_checkpoints_are_gone_is_not_trained_anew(run: Path, data: Path):
    for path in checkpoints(run):
        path.unlink()
    line = refused(run, data)
    assert "has snapshots up to 0.032 kimg but no checkpoint to go on from, and nothing was changed" in line


def test_a_configuration_of_larger_networks_is_refused_before_they_are_made(run: Path, data: Path):
    changed = configuration(data, 0.048, "stylegan2")
    for key, value in (("w_dim", 10**7), ("z_dim", 2**40)):
        generator = changed.generator.model_copy(update={key: value})
        with pytest.raises(UserError, match=r"config\.json asks for larger networks than the checkpoints hold"):
            train(changed.model_copy(update={"generator": generator}), run)


# ---- other files of a run


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "[" * 100_000, '{"seed": ' + "9" * 5000 + "}", "\xff"])
def test_a_damaged_configuration_is_restored_from_the_checkpoint(run: Path, data: Path, text: str):
    (run / "config.json").write_text(text, encoding="latin-1")
    config = run_dir.load_config(run)
    assert config == configuration(data, 0.032, "stylegan2")
    assert run_dir.find(run.parent / "run", config).progress is Progress.FINISHED
    log = go_on(run, data)
    assert "config.json was damaged; it is restored from the newest checkpoint" in log
    assert RunConfig.model_validate_json((run / "config.json").read_text()) == configuration(data, 0.048, "stylegan2")


def test_damaged_lines_of_statistics_are_left_out_and_the_others_stay(run: Path, data: Path):
    first, second = (run / "stats.jsonl").read_bytes().splitlines()
    lines = [b"{", first, b"\xff\xfe", b"[1]", b"null", b'{"kimg": "x"}', b"[" * 100_000, b'{"kimg": 1e999}', second]
    (run / "stats.jsonl").write_bytes(b"\n".join(lines) + b'\n{"kimg": 0.0')
    go_on(run, data)
    found = [json.loads(line)["kimg"] for line in (run / "stats.jsonl").read_text().splitlines()]
    assert found == [0.016, 0.032, 0.048]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"metric": 1}', "[" * 100_000])
def test_a_damaged_record_of_the_best_is_said_and_left_aside(run: Path, data: Path, text: str):
    (run / "best.json").write_text(text)
    assert "best.json is left aside" in go_on(run, data)


def test_readme_keeps_the_command_that_began_the_run(run: Path, data: Path, monkeypatch: pytest.MonkeyPatch):
    began = (run / "README.txt").read_text().split("Command\n-------\n\n")[1].splitlines()[0]
    monkeypatch.setattr(sys, "argv", ["train.py", f"--resume={run}", "--kimg=0.048"])
    go_on(run, data)
    text = (run / "README.txt").read_text()
    assert text.split("Command\n-------\n\n")[1].splitlines()[0] == began
    assert f"Last continued by\n-----------------\n\n    python train.py --resume={run} --kimg=0.048\n" in text
    go_on(run, data, 0.064)
    assert (run / "README.txt").read_text().count("Last continued by") == 1


# ---- data


def test_data_that_has_changed_is_said_once(data: Path, tmp_path: Path):
    there = shutil.copy(data, tmp_path / "data.zip")
    run = train(configuration(there, 0.016, "stylegan2"), tmp_path / "run")
    assert json.loads((run / "data.json").read_text())["images"] == 24
    assert "warning" not in go_on(run, there, 0.032)
    write_zip(Path(there), pictures(8))
    assert f"warning: the data has changed since the run was trained last (24 images before, 8 now; {there})" in go_on(
        run, there
    )
    assert "warning" not in go_on(run, there, 0.064)
    write_zip(Path(there), {f"{n:02d}.png": picture(n + 50, 32) for n in range(8)})
    assert "(8 images as before, but other files; " in go_on(run, there, 0.080)


def test_a_folder_of_the_same_files_is_the_same_data(data: Path, tmp_path: Path):
    run = train(configuration(data, 0.016, "stylegan2"), tmp_path / "run")
    folder = write_folder(tmp_path / "moved", pictures(24))
    assert "warning" not in go_on(run, folder, 0.032)
    assert json.loads((run / "data.json").read_text())["path"] == str(folder)


def test_data_that_is_gone_or_of_another_kind_is_refused(run: Path, data: Path, tmp_path: Path):
    gone = tmp_path / "gone.zip"
    assert refused(run, gone) == f"{gone}: the training data is not there; say where it is now with --data"
    grey = write_zip(tmp_path / "grey.zip", pictures(24, "L"))
    assert "images of 1 channel, but the networks are for 3" in refused(run, grey)


# ---- transfer


def test_a_transfer_says_what_it_took(run: Path, data: Path, tmp_path: Path):
    snapshot = str(open_snapshot(run).path)
    same = train(configuration(data, 0.016, "stylegan2", resume=snapshot), tmp_path / "same")
    count = len(open_snapshot(run).generator("G").state_dict())
    log = (same / "log.txt").read_text()
    assert f"weights from {snapshot}" in log
    assert f"G: {count} tensors taken over (100.0% of its parameters), 0 new, 0 left aside" in log
    assert "warning" not in log


def test_a_transfer_of_little_is_warned_of(run: Path, data: Path):
    other = configuration(data, 0.016, "stylegan2", resume=str(open_snapshot(run).path))
    synthesis = other.generator.synthesis.model_copy(update={"channel_max": 4})
    generator = other.generator.model_copy(update={"synthesis": synthesis})
    state = TrainingState.create(other.model_copy(update={"generator": generator}), World())
    warnings = [remark for remark in state.remarks if remark.startswith("warning: most of G begins untrained")]
    assert len(warnings) == 1, state.remarks


@pytest.mark.parametrize("kind", ["snapshot", "checkpoint"])
def test_a_run_goes_on_without_what_it_began_from(run: Path, data: Path, tmp_path: Path, kind: str):
    source = shutil.copy(open_snapshot(run).path if kind == "snapshot" else latest_checkpoint(run), tmp_path)
    began = train(configuration(data, 0.048, "stylegan2", resume=str(source)), tmp_path / "branch")
    Path(source).unlink()
    assert "continuing from checkpoint-" in go_on(began, data, 0.064, resume=str(source))


# ---- one at a time


def test_a_second_process_is_refused_and_changes_nothing(run: Path, data: Path):
    script = (
        "import sys, time; from pathlib import Path; from dnnlib.locks import DirectoryLock\n"
        "with DirectoryLock(Path(sys.argv[1])): print('held', flush=True); time.sleep(100)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(run)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    try:
        assert f"is being trained by process {holder.pid} on " in refused(run, data)
    finally:
        holder.kill()
        holder.communicate()
