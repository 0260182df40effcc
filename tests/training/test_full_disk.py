"""Runs on small disks: whatever their size, a run that says it has finished has its last checkpoint and snapshot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.data_samples import picture, write_zip
from training.runs.checkpoint import checkpoint_path, latest_checkpoint, read_tensors
from training.runs.snapshot import open_snapshot

ROOT = Path(__file__).parents[2]
ENV = {**os.environ, "OMP_NUM_THREADS": "1"}  # more threads than cores would take minutes
STEPS, BATCH = 6, 8
SHARES = (0.02, 0.15, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)  # of what the run takes with room enough


def train(data: Path, outdir: Path) -> subprocess.CompletedProcess:
    images = STEPS * BATCH
    options = [f"--outdir={outdir}", f"--data={data}", "--cfg=demo", "--device=cpu", f"--kimg={images / 1000}"]
    options += ["--metrics=none", "--snap=1", "--workers=0", f"--batch={BATCH}", "--ops=pytorch", "--method=stylegan2"]
    options += [f"--set=schedule.kimg_per_tick={2 * BATCH / 1000}", "--set=networks.channel_max=8"]
    options += ["--set=generator.z_dim=8", "--set=generator.w_dim=8"]
    command = [sys.executable, "train.py", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False, env=ENV)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    files = {f"{number}.png": picture(number, 32) for number in range(64)}
    return write_zip(tmp_path_factory.mktemp("data") / "data.zip", files)


@pytest.fixture(scope="module")
def needed(data: Path, tmp_path_factory) -> int:
    """Bytes that a run takes."""
    outdir = tmp_path_factory.mktemp("runs")
    assert train(data, outdir).returncode == 0
    return sum(-(-file.stat().st_size // 4096) * 4096 for file in outdir.rglob("*") if file.is_file())


@pytest.fixture
def disk(tmp_path: Path, needed: int, request: pytest.FixtureRequest):
    """A file system of a share of what is needed."""
    place, size = tmp_path / "disk", max(int(needed * request.param), 8192)
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("disk", SHARES, indirect=True)
def test_a_run_that_did_not_save_its_end_does_not_say_it_has_finished(data: Path, disk: Path):
    done = train(data, disk)
    assert "Traceback" not in done.stderr, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    runs = list(disk.glob("*-*"))
    last = checkpoint_path(runs[0], STEPS * BATCH) if runs else None
    if done.returncode == 0:
        assert not errors
        assert len(read_tensors(last)) > 100
        assert open_snapshot(runs[0]).kimg == STEPS * BATCH / 1000
        open_snapshot(runs[0]).generator()
        return
    assert done.returncode == 2, done.stderr
    assert len(errors) == 1
    if "the end of this run is not saved" in errors[0]:
        assert ("checkpoint-" in errors[0]) == (not last.exists())
    else:
        assert errors[0].startswith("Error: cannot write ")
    newest = latest_checkpoint(runs[0]) if runs else None
    assert newest is None or len(read_tensors(newest)) > 100
    assert [path.name for run in runs for path in run.glob(".*")] == []


@pytest.mark.slow
@pytest.mark.parametrize("disk", [0.6], indirect=True)
def test_with_room_made_the_same_command_goes_on(data: Path, disk: Path):
    assert train(data, disk).returncode == 2
    subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
    done = train(data, disk)
    assert done.returncode == 0, done.stderr
    (run,) = disk.glob("*-*")
    assert latest_checkpoint(run) == checkpoint_path(run, STEPS * BATCH)
