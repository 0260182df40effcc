"""What srun sets makes ranks; a batch script alone, and torchrun, are left as they are. The script trains."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.data_samples import picture, write_zip
from torch_utils.slurm import adopt, first_host
from training.runs.checkpoint import latest_checkpoint, read_about

ROOT = Path(__file__).parents[2]
STEP = {
    "SLURM_STEP_NUM_TASKS": "7",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "4,3",
    "SLURM_STEP_NODELIST": "gpu[03,07]",
    "SLURM_JOB_ID": "1234567",
}


def test_a_task_of_a_step_is_a_rank():
    environment = dict(STEP)
    adopt(environment)
    assert {name: environment[name] for name in environment.keys() - STEP.keys()} == {
        "RANK": "5",
        "WORLD_SIZE": "7",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "3",
        "MASTER_ADDR": "gpu03",
        "MASTER_PORT": "34567",
    }


@pytest.mark.parametrize("changes", [
    {"SLURM_STEP_NUM_TASKS": "1"},  # srun with one task, which may start processes of its own
    {"SLURM_STEP_NUM_TASKS": None},  # the batch script itself
    {"RANK": "0"},  # torchrun under srun
    {"SLURM_PROCID": None},
])  # fmt: skip
def test_others_are_left_alone(changes: dict):
    environment = {name: value for name, value in {**STEP, **changes}.items() if value is not None}
    before = dict(environment)
    adopt(environment)
    assert environment == before


@pytest.mark.parametrize("visible, device", [("3", "0"), ("0,1,2,3", "1"), ("", "1")])
def test_a_task_that_sees_one_gpu_takes_that(visible: str, device: str):
    environment = {**STEP, "CUDA_VISIBLE_DEVICES": visible}
    adopt(environment)
    assert environment["LOCAL_RANK"] == device


@pytest.mark.parametrize("nodes, first", [
    ("a1", "a1"), ("a1,b2", "a1"), ("node[007-009,12]", "node007"), ("r[1-2]n[3-4],x", "r1n3"), ("n[5,7]-ib", "n5-ib"),
])  # fmt: skip
def test_the_first_host_of_a_list(nodes: str, first: str):
    assert first_host(nodes) == first


@pytest.mark.parametrize("tasks, here", [("4(x2)", "4"), ("2,5", "5"), ("", "1"), ("x", "1")])
def test_tasks_of_this_machine(tasks: str, here: str):
    environment = {**STEP, "SLURM_STEP_TASKS_PER_NODE": tasks}
    adopt(environment)
    assert environment["LOCAL_WORLD_SIZE"] == here


SRUN = """\
import os, subprocess, sys
words = [word for word in sys.argv[1:] if not word.startswith("--kill")]
step = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_STEP_NODELIST": "127.0.0.1"}
tasks = [subprocess.Popen(words, env={**os.environ, **step, "SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)})
         for i in range(2)]
sys.exit(max(task.wait(300) for task in tasks))
"""


@pytest.mark.slow
def test_the_script_trains_one_run_with_two_tasks(tmp_path: Path):
    """With a stand-in for srun that starts two tasks on this machine."""
    (tmp_path / "bin").mkdir()
    srun = tmp_path / "bin" / "srun"
    srun.write_text(f"#!{sys.executable}\n{SRUN}")
    srun.chmod(0o755)
    data = write_zip(tmp_path / "data.zip", {f"{i}.png": picture(i, 32) for i in range(16)})
    options = [f"--outdir={tmp_path / 'runs'}", f"--data={data}", "--cfg=demo", "--device=cpu", "--kimg=0.064"]
    options += ["--metrics=none", "--set=schedule.kimg_per_tick=0.032", "--set=networks.channel_max=8"]
    job = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHON": sys.executable}
    job["SLURM_JOB_ID"] = str(os.getpid())
    done = subprocess.run(["bash", "tools/slurm.sh", *options], cwd=ROOT, env={**os.environ, **job}, timeout=400,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    about = read_about(latest_checkpoint(run))
    assert (about["images"], about["ranks"]) == (64, 2)
