"""Runs of several processes that are stopped, killed, or go on with another number of processes, by the clock."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_torchrun import free_port
from tests.training.data_samples import picture, write_zip
from training.runs.checkpoint import latest_checkpoint, read_about

ROOT = Path(__file__).parents[2]
SOON = 60  # seconds; an idle launcher would take two minutes


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_zip(tmp_path / "data.zip", {f"{number}.png": picture(number, 32) for number in range(16)})


def options(data: Path, procs: int | None, kimg: float, tick: float = 0.012) -> list[str]:
    chosen = [f"--outdir={data.parent / 'runs'}", f"--data={data}", "--cfg=demo", "--device=cpu", f"--kimg={kimg}"]
    chosen += ["--metrics=none", "--snap=1", "--workers=0", "--batch=12", f"--set=schedule.kimg_per_tick={tick}"]
    chosen += ["--set=networks.channel_max=8", "--set=generator.z_dim=8", "--set=generator.w_dim=8"]
    chosen += ["--set=discriminator.mbstd_group_size=1", "--ops=pytorch"]
    return chosen if procs is None else [*chosen, f"--procs={procs}"]


def start(*command: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def run_of(data: Path) -> Path:
    (found,) = (data.parent / "runs").iterdir()
    return found


def until(condition, process: subprocess.Popen, limit: float = 120) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def has_trained(data: Path) -> bool:
    return any((data.parent / "runs").glob("*/checkpoint-*.safetensors"))


def children(pid: int) -> list[int]:
    """Processes below `pid`, as far as they can be seen in /proc."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in file.read_text().split():
            found += [int(child), *children(int(child))]
    return found


@pytest.fixture
def running(data: Path) -> Iterator[subprocess.Popen]:
    """Two processes in a training without end, past their first checkpoint."""
    process = start("train.py", *options(data, 2, 1000))
    try:
        until(lambda: has_trained(data), process)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


# ---- stopping


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGTERM to the launcher", "Ctrl-C", "SIGTERM to a rank"])
def test_two_processes_stop_within_seconds_and_save(data: Path, running: subprocess.Popen, how: str):
    before = time.monotonic()
    if how == "SIGTERM to the launcher":
        os.kill(running.pid, signal.SIGTERM)
    elif how == "Ctrl-C":
        os.killpg(running.pid, signal.SIGINT)
    else:
        os.kill(ranks_of(running)[1], signal.SIGTERM)
    printed = running.communicate(timeout=SOON)[0]
    assert time.monotonic() - before < SOON
    assert running.returncode == 0, printed
    assert "stopped by " in printed
    images = read_about(latest_checkpoint(run_of(data)))["images"]
    assert f"stopped at {images / 1000:g} of" in (run_of(data) / "log.txt").read_text()
    if how != "SIGTERM to a rank":
        assert "finishing the step under way and saving; a second signal ends at once" in printed


def ranks_of(launcher: subprocess.Popen) -> list[int]:
    """The process ids of the ranks; the others are helpers of Python's multiprocessing."""
    return [pid for pid in children(launcher.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.slow
def test_ranks_save_and_end_when_their_launcher_is_killed(data: Path, running: subprocess.Popen):
    ranks = ranks_of(running)
    assert len(ranks) == 2
    newest = latest_checkpoint(run_of(data))
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    deadline = time.monotonic() + SOON
    while any(Path(f"/proc/{pid}").exists() for pid in ranks):
        assert time.monotonic() < deadline, "ranks live on"
        time.sleep(0.1)
    log = (run_of(data) / "log.txt").read_text()
    assert "stopped by SIGTERM" in log
    assert latest_checkpoint(run_of(data)) >= newest


@pytest.mark.slow
def test_torchrun_stops_within_seconds_and_saves(data: Path):
    nodes = ["--nnodes=1", "--nproc-per-node=2", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{free_port()}"]
    process = start("-m", "torch.distributed.run", *nodes, "train.py", *options(data, None, 1000))
    try:
        until(lambda: has_trained(data), process)
        os.kill(process.pid, signal.SIGTERM)
        process.communicate(timeout=SOON)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert "stopped by SIGTERM" in (run_of(data) / "log.txt").read_text()


# ---- another number of processes


def trained(data: Path, procs: int, steps: int) -> None:
    """Train up to so many steps in `procs` processes, or go on; ends or fails within a minute and a half."""
    runs = data.parent / "runs"
    changed = [f"--kimg={steps * 0.012}", f"--procs={procs}"]
    command = options(data, procs, steps * 0.012) if not runs.exists() else [f"--resume={run_of(data)}", *changed]
    process = start("train.py", *command)
    try:
        printed = process.communicate(timeout=90)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"{procs} processes hang: {process.communicate()[0][-2000:]}")
    assert process.returncode == 0, printed
    about = read_about(latest_checkpoint(run_of(data)))
    assert (about["steps"], about["ranks"]) == (steps, procs)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("before, after", [(1, 2), (2, 1), (2, 3)])
def test_a_run_goes_on_with_another_number_of_processes(data: Path, before: int, after: int, steps: int):
    trained(data, before, steps)
    trained(data, after, steps + 2)
    lines = [json.loads(line) for line in (run_of(data) / "stats.jsonl").read_text().splitlines()]
    assert [round(line["kimg"] / 0.012) for line in lines] == list(range(1, steps + 3))
