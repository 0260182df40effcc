"""What test_distributed.py has several processes do."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import torch

from dnnlib.errors import UserError
from dnnlib.files import write_json
from torch_utils.agreement import together
from torch_utils.distributed import World, current


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
    world.gather_rows(torch.zeros(1))


def agree(folder: Path) -> None:
    """Work that one rank or another fails at, at different places; what each rank got of it is written down."""
    world = current()
    row = torch.tensor([world.rank])

    def failing(rank: int, before: int, error: Exception):
        def work(world: World):
            for exchange in range(3):
                if world.rank == rank and exchange == before:
                    raise error
                rows = world.gather_rows(row) if exchange % 2 else world.share(exchange)
            if world.rank == rank:
                raise error
            return rows

        return work

    def astray(world: World):
        return None if world.rank == 1 else world.share(1)

    def deaf(world: World):
        for _ in range(3):
            with suppress(UserError):
                failing(1, 1, ValueError("x"))(world)
        return "went on"

    tried = {
        "sound": failing(7, 0, ValueError()),
        "first exchange": failing(1, 0, ZeroDivisionError("a bug")),
        "second exchange": failing(1, 1, UserError("b.png is damaged")),
        "end": failing(1, 7, MemoryError()),
        "on rank 0": failing(0, 1, KeyError("k")),
        "first": lambda world: world.first(_broken),
        "refused": lambda world: world.first(_refuse),
        "astray": astray,
        "deaf": deaf,
    }
    results = {}
    for name, work in tried.items():
        results[name] = _message_of(lambda work=work: together(world, work))
        total = torch.tensor([1.0 + world.rank])
        world.reduce_([total])  # the ranks are at the same place
        assert total.item() == 3
    write_json(folder / f"{world.rank}.json", results)


def _broken() -> None:
    raise ZeroDivisionError("a bug")


def _refuse() -> None:
    raise UserError("no")


def _message_of(function) -> str:
    try:
        function()
    except UserError as error:
        return str(error)
    return ""
