"""torchrun as it stands: two launchers on this machine's loopback stand for two machines."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.data_samples import picture, write_zip
from training.runs.checkpoint import latest_checkpoint, read_about

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(port: int, *options: str) -> subprocess.Popen:
    """One of two machines with a process each."""
    nodes = ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}"]
    command = [sys.executable, "-m", "torch.distributed.run", *nodes, "--rdzv-id=test", "train.py", *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_two_machines_train_one_run(tmp_path: Path):
    data = write_zip(tmp_path / "data.zip", {f"{i}.png": picture(i, 32) for i in range(16)})
    options = [f"--outdir={tmp_path / 'runs'}", f"--data={data}", "--cfg=demo", "--device=cpu", "--kimg=0.064"]
    options += ["--metrics=none", "--set=schedule.kimg_per_tick=0.032", "--set=networks.channel_max=8"]
    port = free_port()
    machines = [start(port, *options) for _ in range(2)]
    printed = [machine.communicate(timeout=400)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], printed
    (run,) = (tmp_path / "runs").iterdir()
    about = read_about(latest_checkpoint(run))
    assert (about["images"], about["ranks"]) == (64, 2)
    assert json.loads((run / "config.json").read_text())["hardware"]["gpus"] == 2
    assert "on 2 ranks, cpu" in (run / "log.txt").read_text()
