"""What test_distributed.py has several processes do."""

import os
import signal
from pathlib import Path

import torch

from dnnlib.errors import UserError
from dnnlib.files import write_json
from torch_utils.distributed import current


def exchange(folder: Path) -> None:
    """Try every exchange with values that tell the ranks apart, and write down what came of it."""
    world = current()
    vector, scalar = torch.full([2], float(world.rank)), torch.tensor(10.0 * world.rank)
    world.mean_([vector, scalar])
    low = torch.tensor([3.0 - world.rank])
    world.reduce_([low], "min")
    rows = world.gather_rows(torch.full([1 + world.rank, 2], world.rank))
    x = torch.tensor(1.0 + world.rank, requires_grad=True)
    (world.mean(x) * (2 + world.rank)).backward()
    results = {
        "rank": world.rank,
        "size": world.size,
        "threads": torch.get_num_threads(),
        "mean": [*vector.tolist(), scalar.item()],
        "min": low.item(),
        "rows": rows.tolist(),
        "shared": world.share({"from": world.rank}),
        "first": world.first(lambda: world.rank),
        "refused": _message_of(lambda: world.first(_refuse)),
        "gradient": x.grad.item(),
    }
    world.barrier()
    write_json(folder / f"{world.rank}.json", results)


def fail(how: str) -> None:
    """Rank 1 fails while rank 0 waits for it."""
    world = current()
    if world.rank == 1:
        if how == "user":
            raise UserError("rank 1 found no data")
        if how == "bug":
            raise ZeroDivisionError("a bug on rank 1")
        os.kill(os.getpid(), signal.SIGKILL)
    world.barrier()


def _refuse() -> None:
    raise UserError("no")


def _message_of(function) -> str:
    try:
        function()
    except UserError as error:
        return str(error)
    return ""
