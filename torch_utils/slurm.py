"""Slurm's srun as a launcher: its variables say which process this is, as torchrun's do.

Only processes of a step with several tasks are ranks. A batch script has a SLURM_PROCID, too, but is alone.
"""

import re
from collections.abc import MutableMapping

from dnnlib.parsing import of_environment

FIRST_PORT, PORTS = 20000, 20000  # a job's own, by its number


def adopt(environment: MutableMapping[str, str]) -> None:
    """Set RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT where srun started this process.

    What is set already stays, so that torchrun under srun remains the launcher.
    """
    if "RANK" in environment or of_environment("SLURM_STEP_NUM_TASKS", 1, environment) < 2:
        return
    if "SLURM_PROCID" not in environment:
        return
    nodes = environment.get("SLURM_STEP_NODELIST", environment.get("SLURM_NODELIST", "localhost"))
    found = {
        "RANK": environment["SLURM_PROCID"],
        "WORLD_SIZE": environment["SLURM_STEP_NUM_TASKS"],
        "LOCAL_RANK": _device(environment),
        "LOCAL_WORLD_SIZE": _tasks_here(environment),
        "MASTER_ADDR": first_host(nodes),
        "MASTER_PORT": str(FIRST_PORT + of_environment("SLURM_JOB_ID", 0, environment) % PORTS),
    }
    for name, value in found.items():
        environment.setdefault(name, value)


def first_host(nodes: str) -> str:
    """The first of a list as Slurm writes it: a1 of a1,b2, node007 of node[007-009,12]."""
    match = re.match(r"[^,\[]*(\[[^\]]*\][^,\[]*)*", nodes)
    first = match[0] if match else nodes
    return re.sub(r"\[([^,\-\]]*)[^\]]*\]", r"\1", first)


def _device(environment: MutableMapping[str, str]) -> str:
    """Which of the GPUs that it sees is this process's: the only one, or that of its number on this machine."""
    visible = environment.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return "0" if len(visible) == 1 and visible[0] else environment.get("SLURM_LOCALID", "0")


def _tasks_here(environment: MutableMapping[str, str]) -> str:
    """How many tasks this machine has: the entry of 4(x2),3 that is this machine's."""
    counts: list[str] = []
    for part in environment.get("SLURM_STEP_TASKS_PER_NODE", "1").split(","):
        found = re.fullmatch(r"([0-9]+)(?:\(x([0-9]+)\))?", part)
        counts += [found[1]] * int(found[2] or 1) if found else []
    node = of_environment("SLURM_NODEID", 0, environment)
    return counts[node] if node < len(counts) else "1"
